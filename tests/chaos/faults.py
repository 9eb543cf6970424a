"""The table of faults. Each is a function of a lab and a seeded random generator that runs a command and disturbs it.

A fault starts its command with `lab.grid(…)`, must `finish()` it, and returns in words what it did. Whatever it blocks
(a lock, a full disk) is free again when it returns; the campaign then repeats the command until nothing is left. To add
one, write the function and name it with `@fault`; to hit another file, add it to `FILES`.
"""

import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.lab import SEARCH, Command, Lab

Strike = Callable[[Lab, random.Random], str]
FUNCTION, DIGITS, MORE = ("function.yml",), ("digits.yml",), ("digits.yml", "digits-more.yml")
GRIDS = (FUNCTION, FUNCTION, DIGITS)  # mostly the quicker one
CLOCK = Path(__file__).parent / "clock"
_BLOWS = 4  # that try to leave a file of some name behind, at most


@dataclass(frozen=True)
class Fault:
    """A named way to disturb a run, and the studies that it can be tried on."""

    name: str
    strike: Strike
    studies: Sequence[tuple[str, ...]]


FAULTS: dict[str, Fault] = {}


def fault(name: str, *studies: tuple[str, ...]) -> Callable[[Strike], Strike]:
    """Enter a function into the table."""

    def enter(strike: Strike) -> Strike:
        FAULTS[name] = Fault(name, strike, studies or (*GRIDS, SEARCH))
        return strike

    return enter


# Moments


def some_moment(command: Command, rng: random.Random) -> str:
    """Wait until a random moment of a command, from its first to its last; return it in words."""
    if rng.random() < 0.25:
        seconds = rng.uniform(0, 3)
        command.wait_until(lambda: False, seconds)
        return f"{seconds:.2f} s after its start"
    return in_the_middle(command, rng)


def in_the_middle(command: Command, rng: random.Random) -> str:
    """Wait until some random steps have been made, of which a checkpoint is left."""
    lab, begun = command.lab, command.lab.points()
    points = rng.randint(1, 8) if lab.study == DIGITS[0] else rng.randint(2, 60)
    command.wait_until(lambda: lab.points() >= begun + points)
    command.wait_until(lambda: False, rng.uniform(0, 0.3))
    return f"after {points} points"


def left_half_done(lab: Lab, rng: random.Random, pattern: str = "curve.jsonl") -> str:
    """Run a command and take its power away in the middle, when some attempt has a file of such a name.

    An attempt may end between the look and the blow: then the rest is run, and struck when it first has such a file.
    """
    said = []
    while len(said) < _BLOWS and not (said and matching(lab, pattern)):
        command = lab.grid("--jobs", str(rng.choice([1, 2])))
        moment = "as soon as could be" if said else in_the_middle(command, rng)
        command.wait_until(lambda: matching(lab, pattern))
        command.kill_all()
        command.finish()
        said.append(f"all killed {moment}")
    return ", ".join(said)


def matching(lab: Lab, pattern: str) -> list[Path]:
    """Return the files of unfinished attempts whose path in the attempt's folder matches."""
    found = [path for folder in lab.open_folders() for path in sorted(folder.glob(pattern))]
    return [path for path in found if path.is_file() and path.name != "lock"]


# Signals


def _send_driver(command: Command, number: int) -> None:
    command.signal(number)


def _send_group(command: Command, number: int) -> None:
    command.signal_group(number)


def _send_worker(command: Command, number: int) -> None:
    command.wait_until(command.lab.workers)
    for pid in command.lab.workers()[:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _send_all(command: Command, number: int) -> None:
    for pid in command.lab.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _signalled(send: Callable[[Command, int], None], number: int) -> Strike:
    def strike(lab: Lab, rng: random.Random) -> str:
        command = lab.grid("--jobs", str(rng.choice([1, 2])))
        moment = some_moment(command, rng)
        send(command, number)
        command.finish()
        return moment

    return strike


for _whom, _send in {"driver": _send_driver, "worker": _send_worker, "group": _send_group, "all": _send_all}.items():
    for _number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        fault(f"{_number.name} to {_whom}")(_signalled(_send, _number))


@fault("Ctrl-C twice")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid("--jobs", "2")
    moment = some_moment(command, rng)
    for _ in range(2):
        command.signal_group(signal.SIGINT)
        time.sleep(rng.uniform(0.01, 0.4))
    command.finish()
    return moment


@fault("killed three times")
def _(lab: Lab, rng: random.Random) -> str:
    return "; ".join(left_half_done(lab, rng) for _ in range(3))


@fault("worker frozen for a while")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid()
    moment = in_the_middle(command, rng)
    _send_worker(command, signal.SIGSTOP)
    command.wait_until(lambda: False, rng.uniform(1, 5))
    _send_all(command, signal.SIGCONT)
    command.finish()
    return moment


@fault("second driver")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid()
    moment = some_moment(command, rng)
    second = lab.grid(study=lab.study)
    code = second.process.wait(lab.deadline_s)
    command.finish()
    second.finish()
    return f"{moment}; the second ended with {code}"


# The store in other hands


@contextmanager
def _connected(lab: Lab, command: Command) -> Iterator[sqlite3.Connection | None]:
    """Give a connection to the store once it is there, or None if the command ended before."""
    if not command.wait_until(lambda: lab.db.exists() and lab.attempts() > 0):
        yield None
        return
    with closing(sqlite3.connect(lab.db, isolation_level=None, timeout=60)) as connection:
        yield connection


def _locked(seconds: tuple[float, float]) -> Strike:
    def strike(lab: Lab, rng: random.Random) -> str:
        command = lab.grid("--jobs", str(rng.choice([1, 2])))
        moment, held = some_moment(command, rng), rng.uniform(*seconds)
        with _connected(lab, command) as connection:
            if connection is not None:
                connection.execute("BEGIN EXCLUSIVE")
                command.wait_until(lambda: False, held)
                connection.execute("ROLLBACK")
        command.finish()
        return f"for {held:.1f} s, {moment}"

    return strike


fault("store locked")(_locked((0.5, 5)))
fault("store locked for long", FUNCTION)(_locked((12, 18)))


@fault("store locked before it starts")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    if not lab.db.exists():
        return f"{said}; no store yet"
    with closing(sqlite3.connect(lab.db, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        command = lab.grid()
        command.wait_until(lambda: False, held := rng.uniform(3, 16))
        connection.execute("ROLLBACK")
    command.finish()
    return f"{said}; locked for {held:.1f} s"


@fault("store opened by a reader")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid()
    moment = some_moment(command, rng)
    with _connected(lab, command) as connection:
        if connection is not None:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM attempt").fetchall()
        command.finish()
    return f"from {moment} to its end"


# Damaged files, each after all was killed in the middle, so that the next command finds them

_FUNCTIONS = (FUNCTION, SEARCH)
FILES: dict[str, tuple[str, Sequence[tuple[str, ...]]]] = {
    "checkpoint.pt": ("checkpoint.pt", (DIGITS,)),
    "a function's checkpoint": ("checkpoint/state.npz", _FUNCTIONS),
    "a function's second checkpoint file": ("checkpoint/losses.json", _FUNCTIONS),
    "the mark of a checkpoint": ("checkpoint/.*", _FUNCTIONS),
    "a saved file": ("files/*/*", _FUNCTIONS),
    "curve.jsonl": ("curve.jsonl", (*_FUNCTIONS, DIGITS)),
    "progress.json": ("progress.json", (*_FUNCTIONS, DIGITS)),
    "request.json": ("request.json", (*_FUNCTIONS, DIGITS)),
    "any file": ("**/*", (*_FUNCTIONS, DIGITS)),
}
CRUDE = ("cut", "empty", "noise", "remove")  # what a program sees at once, most of the time


def damage(path: Path, rng: random.Random, forms: Sequence[str]) -> str:
    """Damage a file in one of some forms: "flip" a bit, or one of `CRUDE`; return what was done in words."""
    data, form = path.read_bytes(), rng.choice(forms)
    if form == "remove":
        path.unlink()
        return f"{path.name} removed"
    if form == "flip" and data:
        place, bit = rng.randrange(len(data)), rng.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        return f"bit {bit} of byte {place} of {len(data)} of {path.name} flipped"
    if form == "cut" and data:
        place = rng.randrange(len(data))
        path.write_bytes(data[:place])
        return f"{path.name} cut to {place} of {len(data)} bytes"
    path.write_bytes(b"" if form == "empty" else rng.randbytes(len(data) or 9))
    return f"{path.name} {'emptied' if form == 'empty' else 'overwritten with noise'}"


def damaging(make: Callable[[Sequence[str]], Strike], name: str, *studies: tuple[str, ...]) -> None:
    """Enter two faults of one kind of file: a flipped bit, which nothing but a checksum finds, and cruder damage."""
    fault(f"flipped bit in {name}", *studies)(make(("flip",)))
    fault(f"damage to {name}", *studies)(make(CRUDE))


def _half_done(pattern: str) -> Callable[[Sequence[str]], Strike]:
    def make(forms: Sequence[str]) -> Strike:
        def strike(lab: Lab, rng: random.Random) -> str:
            said = left_half_done(lab, rng, pattern)
            found = matching(lab, pattern)
            return f"{said}; {damage(rng.choice(found), rng, forms)}" if found else f"{said}; there is no {pattern}"

        return strike

    return make


def _result(forms: Sequence[str]) -> Strike:
    """Freeze the driver, so that a worker's result is not taken in, then kill all and damage it."""

    def strike(lab: Lab, rng: random.Random) -> str:
        command = lab.grid()
        command.wait_until(lab.workers)
        command.signal(signal.SIGSTOP)
        command.wait_until(lambda: list(lab.artifacts.glob("*/result.json")))
        results = list(lab.artifacts.glob("*/result.json"))
        command.kill_all()
        command.finish()
        return damage(results[0], rng, forms) if results else "there is no result.json"

    return strike


def _weights(forms: Sequence[str]) -> Strike:
    """The weights of a run that is done: what a later evaluation reads."""

    def strike(lab: Lab, rng: random.Random) -> str:
        lab.grid().finish()
        found = sorted(lab.artifacts.glob("*/weights.pt"))
        return damage(rng.choice(found), rng, forms) if found else "there is no weights.pt"

    return strike


for _name, (_pattern, _studies) in FILES.items():
    damaging(_half_done(_pattern), _name, *_studies)
damaging(_result, "result.json")
damaging(_weights, "weights.pt", MORE)


@fault("result not taken in", *_FUNCTIONS, DIGITS)
def _(lab: Lab, rng: random.Random) -> str:
    """Only the driver dies while a worker ends: its result must be taken in."""
    command = lab.grid()
    command.wait_until(lab.workers)
    command.signal(signal.SIGSTOP)
    command.wait_until(lambda: list(lab.artifacts.glob("*/result.json")))
    command.signal(signal.SIGKILL)
    command.finish()
    return "the driver was killed when result.json was there"


@fault("noise in progress.json while it runs")
def _(lab: Lab, rng: random.Random) -> str:
    command, count = lab.grid("--jobs", "2"), 0
    while command.lives and count < 20:
        command.wait_until(lambda: list(lab.artifacts.glob("*/progress.json")), 20)
        for path in lab.artifacts.glob("*/progress.json"):
            with suppress(OSError):
                path.write_bytes(rng.choice([b"\xff\xfe{", b"[]", b"null", b'{"step": "x"}', b"", rng.randbytes(40)]))
                count += 1
        time.sleep(0.1)
    command.finish()
    return f"{count} times"


@fault("stop file that nobody asked for")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid()
    moment = in_the_middle(command, rng)
    form = rng.choice(["file", "folder", "noise"])
    for folder in lab.open_folders()[-1:]:
        if form == "folder":
            (folder / "stop").mkdir(exist_ok=True)
        else:
            (folder / "stop").write_bytes(b"" if form == "file" else rng.randbytes(30))
    command.finish()
    return f"a {form}, {moment}"


@fault("noise in the lock")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    for lock in [*lab.artifacts.glob("*/lock"), *lab.db.parent.glob("*.lock")]:
        lock.write_bytes(rng.randbytes(20))
    return said


# Removed folders


@fault("attempt folders removed")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    folders = lab.open_folders()
    for folder in folders:
        shutil.rmtree(folder)
    return f"{said}; {len(folders)} removed"


@fault("attempt folder removed while it runs")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid("--jobs", "2")
    moment = in_the_middle(command, rng)
    for folder in lab.open_folders()[-1:]:
        shutil.rmtree(folder, ignore_errors=True)
    command.finish()
    return moment


@fault("artifacts removed")
def _(lab: Lab, rng: random.Random) -> str:
    said, lab.folder_was_removed = left_half_done(lab, rng), True
    shutil.rmtree(lab.artifacts, ignore_errors=True)
    return said


@fault("artifacts removed while it runs")
def _(lab: Lab, rng: random.Random) -> str:
    command, lab.folder_was_removed = lab.grid("--jobs", "2"), True
    moment = some_moment(command, rng)
    shutil.rmtree(lab.artifacts, ignore_errors=True)
    command.finish()
    return moment


# Full and read-only disks


@contextmanager
def _small_disk(lab: Lab, megabytes: int) -> Iterator[bool]:
    """Let the lab's results lie on a disk of their own; give whether that could be made."""
    lab.db.parent.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(lab.db.parent)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:  # what lies there goes back to the folder below
            kept = lab.folder / "kept"
            shutil.copytree(lab.db.parent, kept)
            subprocess.run(["umount", "-l", str(lab.db.parent)], check=False)
            shutil.copytree(kept, lab.db.parent, dirs_exist_ok=True)
            shutil.rmtree(kept)


@fault("disk full")
def _(lab: Lab, rng: random.Random) -> str:
    with _small_disk(lab, 64) as mounted:
        if not mounted:
            return f"no disk can be mounted here, so: {_limited(lab, rng)}"
        command = lab.grid("--jobs", str(rng.choice([1, 2])))
        moment, spare = some_moment(command, rng), rng.choice([0, 3_000, 40_000])
        filler = lab.db.parent / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        if filler.exists():
            os.truncate(filler, max(0, filler.stat().st_size - spare))
        command.finish()
        filler.unlink(missing_ok=True)
    return f"{spare} bytes left, {moment}"


@fault("files may not grow")
def _limited(lab: Lab, rng: random.Random) -> str:
    limit = rng.choice([500, 2_000, 30_000, 300_000])
    lab.before_exec = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    command = lab.grid()
    lab.before_exec = None
    command.finish()
    return f"beyond {limit} bytes"


@fault("read-only folder")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid("--jobs", str(rng.choice([1, 2])))
    moment = some_moment(command, rng)
    folders = [f for f in rng.choice([[lab.artifacts], lab.open_folders()[-1:], [lab.db.parent]]) if f.exists()]
    try:
        how = [_read_only(folder) for folder in folders]
        command.finish()
    finally:
        for folder in folders:
            if folder.exists():
                _writable(folder)
    return f"{', '.join(f.name for f in folders) or 'nothing'} {' '.join(filter(None, how))}, {moment}"


def _read_only(folder: Path) -> str:
    """Forbid new names in a folder: of root, too, where the file system knows immutable ones."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        return ""
    done = subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False)
    return "" if done.returncode == 0 else "(this file system forbids root nothing)"


def _writable(folder: Path) -> None:
    if os.geteuid() != 0:
        folder.chmod(0o755)
    else:
        subprocess.run(["chattr", "-i", str(folder)], capture_output=True, check=False)


@fault("clock set back")
def _(lab: Lab, rng: random.Random) -> str:
    said, seconds = left_half_done(lab, rng), rng.choice([5, 3_600, 86_400 * 400])
    lab.environment = {"PYTHONPATH": str(CLOCK), "CHAOS_CLOCK_BACK_S": str(seconds)}
    return f"{said}; {seconds} s back from then on"
