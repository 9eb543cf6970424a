"""A folder with studies in which commands are run as a person runs them, and what each of them left behind."""

import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

SEARCH = ("search.yml",)
"""Brute force, which has the same runs whatever cuts it short: another sampler is told less, and proposes others."""
STUDIES = Path(__file__).parent / "studies"
ROOT = Path(__file__).resolve().parents[2]
_MAIN = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"
_MARK = "CHAOS_LAB"  # in the environment of every process that a command starts, by which it is found again
_GRACE_S = 20.0  # within which whatever a command started must have ended after it


@dataclass
class Toll:
    """What commands did that they must not: one line each."""

    tracebacks: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)


@dataclass
class Lab:
    """A folder with a copy of the studies. `studies` are run one after the other, each until nothing of it is left."""

    folder: Path
    studies: Sequence[str]
    deadline_s: float = 180.0
    environment: dict[str, str] = field(default_factory=dict)  # of the commands that are started from now on
    before_exec: Callable[[], None] | None = None  # called in their processes before they begin
    toll: Toll = field(default_factory=Toll)
    codes: list[int] = field(default_factory=list)
    folder_was_removed: bool = False  # by a fault: files of attempts that had ended are not missed
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        shutil.copytree(STUDIES, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))

    @property
    def db(self) -> Path:
        return self.folder / "results" / "harness.db"

    @property
    def artifacts(self) -> Path:
        return self.folder / "results" / "artifacts"

    @property
    def study(self) -> str:
        return self.studies[0]

    def grid(self, *arguments: str, study: str | None = None) -> "Command":
        """Start `harness run grid` of a study, by default the first; of a search `harness search`."""
        study = study or self.study
        return self.start(*(("search", "arguments") if study in SEARCH else ("run", "grid")), study, *arguments)

    def start(self, *arguments: str) -> "Command":
        """Start a command in a session of its own."""
        said = self.folder / f"said-{len(list(self.folder.glob('said-*')))}.txt"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")}
        path = os.pathsep.join(filter(None, [self.environment.get("PYTHONPATH"), str(ROOT)]))
        settings = {**self.environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", _MARK: self.mark}
        # A pipe, not the file itself: whoever is kept from writing files can still say so.
        with said.open("wb") as output:
            sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
        with sink.stdin as pipe:
            process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, *arguments],
                cwd=self.folder,
                env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **settings},
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self.before_exec,  # noqa: PLW1509 - this process has one thread
            )
        return Command(self, process, sink, said)

    def processes(self) -> Mapping[int, str]:
        """Return the living processes of this lab's commands, each with its command line."""
        marked = f"{_MARK}={self.mark}".encode()
        return {pid: line for pid, line in _living(marked) if pid != os.getpid()}

    def workers(self) -> list[int]:
        """Return the processes that hold the lock of an attempt."""
        living = self.processes()
        found = []
        for lock in self.artifacts.glob("*/lock"):
            try:
                pid = int(lock.read_text())
            except (OSError, ValueError):
                continue
            if pid in living:
                found.append(pid)
        return found

    def query(self, sql: str) -> list[tuple]:
        """Return what a reader of the store finds; nothing while there is none."""
        if not self.db.exists():
            return []
        with closing(sqlite3.connect(f"{self.db.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(sql).fetchall()

    def attempts(self) -> int:
        """Return how many attempts the store knows."""
        try:
            return self.query("SELECT count(*) FROM attempt")[0][0]
        except (sqlite3.DatabaseError, IndexError):
            return 0

    def open_folders(self) -> list[Path]:
        """Return the folders of attempts without a result: what the next command finds half done."""
        folders = [f for f in self.artifacts.glob("*") if f.is_dir() and not (f / "result.json").exists()]
        return sorted(folders, key=lambda folder: folder.stat().st_mtime)

    def points(self) -> int:
        """Return how many points of curves have been written."""
        count = 0
        for curve in self.artifacts.glob("*/curve.jsonl"):
            try:
                count += curve.read_bytes().count(b"\n")
            except OSError:
                continue
        return count


@dataclass
class Command:
    """A command under way, in a session of its own."""

    lab: Lab
    process: subprocess.Popen[bytes]
    sink: subprocess.Popen[bytes]  # writes what the command and all that it starts say
    said: Path

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def wait_until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
        """Wait for a condition, at most until the command ends; return whether it came to hold."""
        deadline = time.monotonic() + min(timeout_s, self.lab.deadline_s)
        while time.monotonic() < deadline:
            if condition():
                return True
            if not self.lives:
                return False
            time.sleep(0.01)
        return False

    def signal(self, number: int) -> None:
        """Send the driver a signal."""
        if self.lives:
            self.process.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to the driver's whole group, as a terminal or a cluster does."""
        with_no_process(lambda: os.killpg(self.process.pid, number))

    def kill_all(self) -> None:
        """End the driver and all that it started, as a power loss does."""
        end(self.lab, [self.process.pid])

    def finish(self) -> int:
        """Wait for the command's end and write down what it did wrong. Return its exit code."""
        lab, name = self.lab, f"command {len(self.lab.codes) + 1}"
        try:
            code = self.process.wait(lab.deadline_s)
        except subprocess.TimeoutExpired:
            lab.toll.hangs.append(f"{name} does not end in {lab.deadline_s:.0f} s")
            self.kill_all()
            code = self.process.wait()
        lab.codes.append(code)
        deadline = time.monotonic() + _GRACE_S
        while (left := lab.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        lab.toll.orphans += [f"{name} leaves process {line}" for line in left.values()]
        end(lab)
        self.sink.wait()
        text = self.said.read_text(encoding="utf-8", errors="replace")
        if "Traceback (most recent call last)" in text or "Fatal Python error" in text:
            lab.toll.tracebacks.append(f"{name} prints a traceback: {text.strip().splitlines()[-1]} ({self.said})")
        return code


def end(lab: Lab, first: Sequence[int] = ()) -> None:
    """Kill processes, and then whatever of the lab's lives, until nothing does."""
    for pid in first:
        with_no_process(lambda pid=pid: os.kill(pid, signal.SIGKILL))
    while pids := lab.processes():
        for pid in pids:
            with_no_process(lambda pid=pid: os.kill(pid, signal.SIGKILL))
        time.sleep(0.02)


def with_no_process(act: Callable[[], None]) -> None:
    """Do something to a process that may have ended meanwhile."""
    try:
        act()
    except ProcessLookupError:
        return


def _living(marked: bytes) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if marked not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            if "\nState:\tZ" in (entry / "status").read_text():
                continue
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        yield int(entry.name), f"{entry.name} ({line[:70]})"
