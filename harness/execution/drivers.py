"""The drivers at work on a store: who they are, whether they live, and what others ask of them.

    results/drivers/UID/driver.json     pid, host, when it began, its studies and its command
                        lock            held as long as it lives
                        beat            touched every few seconds
                        stop            there if it is asked to end what runs at checkpoints; "now": at once
                        noted.json      how many attempts there are, how those ended that did, and which run
                        asked.jsonl     a line for each run that it is asked to skip or to make again
                        log.txt         what one that was detached prints

Several drivers share the runs of one store. A running attempt is on lease to the driver that began it; a driver that
dies gives its leases back, because its lock ends with it. On another host, where locks may not be seen, it is its beat
that has stopped, by the clock of the file system that both share.
"""

import json
import os
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from harness.attempt.messages import read_progress
from harness.base.clock import now
from harness.base.files import atomic_write
from harness.base.locks import hold, is_held

FOLDER = "drivers"
NOW = "now"
_EVERY_S = 5.0
SILENCE_S = 60.0
"""How long the beat of a driver on another host may stand still until its leases come back."""
_KEPT = 20  # folders of drivers that have ended
Request = tuple[Literal["skip", "retry"], str]


@dataclass(frozen=True)
class DriverInfo:
    """A driver, as its folder tells of it."""

    folder: Path
    pid: int
    host: str
    started: str  # ISO 8601, UTC
    studies: tuple[str, ...]
    command: tuple[str, ...]

    @property
    def uid(self) -> str:
        """Its name, by which it has attempts on lease."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """What it prints, if it was detached."""
        return self.folder / "log.txt"

    @property
    def silent_s(self) -> float:
        """For how many seconds its beat has stood still, by the clock of its file system."""
        probe = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            probe.touch()
            return max(0.0, probe.stat().st_mtime - (self.folder / "beat").stat().st_mtime)
        except OSError:  # nothing can be written there, or there is no beat
            return 0.0
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)

    @property
    def lives(self) -> bool:
        """Whether it is at work."""
        if is_held(self.folder / "lock"):
            return True
        return self.host != socket.gethostname() and (self.folder / "beat").exists() and self.silent_s < SILENCE_S

    def ask_to_stop(self, *, now: bool = False) -> None:
        """Ask it to end what runs at checkpoints, or at once."""
        atomic_write(self.folder / "stop", NOW if now else "")

    def ask(self, *requests: Request) -> None:
        """Ask it to skip runs, or to make them again."""
        with (self.folder / "asked.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(request) + "\n" for request in requests)


def drivers(results: Path) -> list[DriverInfo]:
    """Return the drivers of a results folder, the latest last; also those that have ended, as long as they are kept."""
    found = [driver for folder in (results / FOLDER).glob("*") if (driver := _read(folder)) is not None]
    return sorted(found, key=lambda driver: (driver.started, driver.uid))


def lives(results: Path, uid: str) -> bool:
    """Return whether the driver of this name is at work."""
    driver = _read(results / FOLDER / uid)
    return driver is not None and driver.lives


def _read(folder: Path) -> DriverInfo | None:
    try:
        raw: dict[str, Any] = json.loads((folder / "driver.json").read_text(encoding="utf-8"))
        return DriverInfo(
            folder, int(raw["pid"]), raw["host"], raw["started"], tuple(raw["studies"]), tuple(raw["command"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass
class Seat:
    """A driver's own place among the drivers of its store."""

    folder: Path
    beaten: float = field(default_factory=lambda: -_EVERY_S)
    read: int = 0  # requests that were heeded

    @property
    def uid(self) -> str:
        """Its name, by which it has attempts on lease."""
        return self.folder.name

    def beat(self) -> None:
        """Show, every few seconds, that it lives."""
        if time.monotonic() - self.beaten >= _EVERY_S:
            self.beaten = time.monotonic()
            with suppress(OSError):
                (self.folder / "beat").touch()

    @property
    def stops_asked(self) -> int:
        """How often it is asked to stop: twice if at once."""
        try:
            return 2 if (self.folder / "stop").read_text(encoding="utf-8") == NOW else 1
        except OSError:
            return 0

    def note(self, expected: int, ended: Mapping[str, int], running: Sequence[tuple[str, str]]) -> None:
        """Note for others how many attempts there are, how those ended that did, and which run: uid and label."""
        noted = {"expected": expected, "ended": dict(ended), "running": list(running)}
        with suppress(OSError):  # of a full disk: it is for people alone
            atomic_write(self.folder / "noted.json", json.dumps(noted))

    def asked(self) -> Sequence[Request]:
        """Return what was asked of it since the last call."""
        try:
            lines = (self.folder / "asked.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        except OSError:
            return ()
        new, self.read = lines[self.read :], len(lines)
        with suppress(ValueError):
            return [(what, label) for what, label in map(json.loads, new)]
        return ()

    def others_live(self, uid: str) -> bool:
        """Return whether another driver of this name is at work."""
        return uid != self.uid and lives(self.folder.parent.parent, uid)


@contextmanager
def seat(results: Path, studies: Sequence[str], command: Sequence[str] | None = None) -> Iterator[Seat]:
    """Be one of the drivers of a results folder during the block.

    A folder that `$HARNESS_DRIVER` names was made for this driver, by the call that detached it.
    """
    folder = results / FOLDER / (os.environ.pop("HARNESS_DRIVER", "") or uuid.uuid4().hex)
    place = Seat(folder)
    try:
        with hold(folder / "lock"):
            place.beat()
            said = {"pid": os.getpid(), "host": socket.gethostname(), "started": now(), "studies": tuple(studies)}
            atomic_write(folder / "driver.json", json.dumps({**said, "command": tuple(command or sys.argv)}))
            yield place
    finally:
        _remove_ended(results, place)


def _remove_ended(results: Path, place: Seat) -> None:
    """Remove what nobody asks for: a driver that printed nowhere, and the oldest of those that did."""
    if not (place.folder / "log.txt").exists():
        shutil.rmtree(place.folder, ignore_errors=True)
    ended = [driver for driver in drivers(results) if not driver.lives]
    for driver in ended[:-_KEPT]:
        shutil.rmtree(driver.folder, ignore_errors=True)


def status_of(driver: DriverInfo, artifacts: Path) -> dict[str, Any]:
    """Return a driver as plain data, with what it has noted and how far its runs are."""
    try:
        noted = json.loads((driver.folder / "noted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it has begun nothing yet
        noted = {"expected": 0, "ended": {}, "running": []}
    running = [
        {"attempt": uid, "label": label, "progress": read_progress(artifacts / uid)} for uid, label in noted["running"]
    ]
    return {
        "driver": driver.uid,
        "pid": driver.pid,
        "host": driver.host,
        "started": driver.started,
        "studies": list(driver.studies),
        "lives": driver.lives,
        "silent_s": driver.silent_s,
        "expected": noted["expected"],
        "ended": noted["ended"],
        "running": running if driver.lives else [],
        "log": str(driver.log) if driver.log.exists() else None,
    }


def run_name(label: str) -> str:
    """Return STUDY:TRIAL:SEED of the label of a run, "STUDY: TRIAL, seed SEED"."""
    study, _, rest = label.partition(": ")
    trial, _, seed = rest.rpartition(", seed ")
    return f"{study}:{trial}:{seed}"


def is_meant(label: str, asked: str) -> bool:
    """Return whether STUDY:TRIAL:SEED, or a pattern of it, means the run of a label."""
    name = run_name(label)
    return name == asked or fnmatchcase(name, asked)
