"""More of the table of faults: several drivers, clusters, workers that hang or run out of memory, other schemas.

As in `chaos.faults`; what needs a library that is not there says so, and does what is nearest to it.
"""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

from sqlite_utils import Database

from chaos.faults import (
    CLOCK,
    CRUDE,
    DIGITS,
    FUNCTION,
    GRIDS,
    Strike,
    _connected,
    _send_all,
    _send_driver,
    _send_group,
    _send_worker,
    _signalled,
    damage,
    fault,
    in_the_middle,
    left_half_done,
    some_moment,
)
from chaos.lab import Command, Lab, with_no_process
from harness.store.schema import MIGRATIONS

for _whom, _send in {"driver": _send_driver, "worker": _send_worker, "group": _send_group, "all": _send_all}.items():
    fault(f"SIGUSR1 to {_whom}")(_signalled(_send, signal.SIGUSR1))


# Several drivers


@fault("four drivers, of which two are killed", FUNCTION, DIGITS)
def _(lab: Lab, rng: random.Random) -> str:
    commands = [lab.grid("--jobs", "1") for _ in range(4)]
    moment = in_the_middle(commands[0], rng)
    chosen = rng.sample(range(4), 2)
    for number in chosen:
        commands[number].signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
        time.sleep(rng.uniform(0, 0.5))
    _finish_together(commands)
    return f"drivers {chosen[0] + 1} and {chosen[1] + 1}, {moment}"


@fault("two drivers with clocks an hour apart")
def _(lab: Lab, rng: random.Random) -> str:
    first = lab.grid("--jobs", "1")
    lab.environment = {"PYTHONPATH": str(CLOCK), "CHAOS_CLOCK_BACK_S": "3600"}
    second = lab.grid("--jobs", "1")
    lab.environment = {}
    moment = some_moment(first, rng)
    rng.choice([first, second]).signal(signal.SIGKILL)
    _finish_together([first, second])
    return moment


def _finish_together(commands: list[Command]) -> None:
    """Finish commands that share the work: what one of them has started may live until the last has ended."""
    deadline = time.monotonic() + commands[0].lab.deadline_s
    for command in commands:
        with suppress(subprocess.TimeoutExpired):
            command.process.wait(max(0.1, deadline - time.monotonic()))
    for command in commands:
        command.finish()


# Clusters


def _on(executor: str, *options: str) -> list[str]:
    return ["--executor", executor, *(word for option in options for word in ("--executor-option", option))]


def _job(number: int) -> Strike:
    def strike(lab: Lab, rng: random.Random) -> str:
        there = find_spec("submitit") is not None
        command = lab.grid(*(_on("slurm", "cluster=local") if there else []), "--jobs", "2")
        moment = in_the_middle(command, rng)
        for pid in _launchers(lab)[:1]:
            with_no_process(lambda pid=pid: os.kill(pid, number))
        if not there:
            _send_worker(command, number)
        command.finish()
        return moment if there else f"{moment} (submitit is not installed: a worker)"

    return strike


def _launchers(lab: Lab) -> list[int]:
    """Return the processes that a cluster started for attempts under way: the parents of those that make these."""
    found = []
    for pid in lab.processes():
        with suppress(OSError):
            if b"harness.execution.executors.job" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]))
    return sorted(found)


fault("SIGKILL to a submitit job", *GRIDS)(_job(signal.SIGKILL))
fault("SIGUSR1 to a submitit job", *GRIDS)(_job(signal.SIGUSR1))
fault("SIGTERM to a submitit job", *GRIDS)(_job(signal.SIGTERM))


@fault("SIGKILL to a raylet", FUNCTION)
def _(lab: Lab, rng: random.Random) -> str:
    there = find_spec("ray") is not None
    command = lab.grid(*(_on("ray") if there else []), "--jobs", "2")
    moment = in_the_middle(command, rng)
    for pid, line in lab.processes().items():
        if "/raylet" in line:
            with_no_process(lambda pid=pid: os.kill(pid, signal.SIGKILL))
    if not there:
        _send_worker(command, signal.SIGKILL)
    command.finish()
    return moment if there else f"{moment} (Ray is not installed: a worker)"


# Workers that hang, and that have no memory


@fault("worker that hangs")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid("--timeout", "12", "--jobs", str(rng.choice([1, 2])))
    moment = in_the_middle(command, rng)
    _send_worker(command, signal.SIGSTOP)
    command.finish()
    return f"{moment}; it is ended after 12 s"


@fault("worker out of memory")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid("--jobs", str(rng.choice([1, 2])))
    moment = in_the_middle(command, rng)
    for pid in lab.workers()[:1]:
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_AS, (2**20, 2**20))  # nothing more is given to it
    command.finish()
    return moment


# The store: of another schema, on another file system, with what lies beside it damaged


@fault("store of an older schema")
def _(lab: Lab, rng: random.Random) -> str:
    names = [migration.name for migration in MIGRATIONS.pending(Database(memory=True))]
    until = rng.choice(names[1:])
    lab.db.parent.mkdir()
    with closing(sqlite3.connect(lab.db)) as connection:
        MIGRATIONS.apply(Database(connection), stop_before=until)
    command = lab.grid()
    moment = some_moment(command, rng)
    command.signal(signal.SIGKILL)
    command.finish()
    return f"that before {until}; killed {moment}"


@fault("store of a newer schema")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    if not lab.db.exists():
        return f"{said}; no store yet"
    newer = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('harness', 'm999_newer', 'x')"
    _change(lab, newer)
    code = lab.grid().finish()
    _change(lab, "DELETE FROM _sqlite_migrations WHERE name = 'm999_newer'")
    return f"{said}; refused with {code}, until it was as before"


def _change(lab: Lab, sql: str) -> None:
    with closing(sqlite3.connect(lab.db, timeout=60)) as connection, connection:
        connection.execute(sql)


@fault("store on a network file system")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    kind = rng.choice(["nfs4", "cifs", "lustre"])
    lab.environment = {"HARNESS_FILE_SYSTEM": kind}
    return f"{said}; {left_half_done(lab, rng)} on {kind}, and so from then on"


@fault("read-only store")
def _(lab: Lab, rng: random.Random) -> str:
    command = lab.grid("--jobs", str(rng.choice([1, 2])))
    moment, held = some_moment(command, rng), rng.uniform(1, 6)
    with _connected(lab, command) as connection:  # which waits for the store
        there = connection is not None
    how = ["chattr", "+i", str(lab.db)]
    done = there and subprocess.run(how, capture_output=True, check=False).returncode == 0
    command.wait_until(lambda: False, held)
    if done:
        subprocess.run(["chattr", "-i", str(lab.db)], capture_output=True, check=False)
    command.finish()
    return f"{moment}, for {held:.1f} s{'' if done else ' (which this file system does not know)'}"


@fault("damaged files of drivers")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    found = [path for path in sorted(lab.db.parent.glob("drivers/*/*")) if path.is_file()]
    did = [damage(path, rng, ("flip", *CRUDE)) for path in rng.sample(found, min(2, len(found)))]
    return f"{said}; {', '.join(did) or 'there are none'}"


@fault("noise in the shared memory of the log")
def _(lab: Lab, rng: random.Random) -> str:
    said = left_half_done(lab, rng)
    shared = lab.db.with_name(f"{lab.db.name}-shm")
    if shared.exists():
        shared.write_bytes(rng.randbytes(shared.stat().st_size))
    return said
