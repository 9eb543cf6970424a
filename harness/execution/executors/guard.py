"""A small process around each attempt, so that the attempt ends as one, with all that it has started.

    driver ── link ── guard (a session of its own) ── worker (a process group of its own) ── its children

The worker makes the attempt, and runs what others wrote. The guard runs nothing of theirs: it waits for the worker's
end, for the time limit, and for the driver's word or death. Then it ends what is left of the worker's descendants
(SIGTERM, a second later SIGKILL), those in sessions of their own too, and says how the worker ended. A guard that is
killed takes its worker's group along.

File descriptors 1 and 2 of all of them are a file in the attempt's folder: nothing that an attempt starts holds the
driver's stdout, and what C code and other programs print is kept too.
"""

import ctypes
import faulthandler
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self, TextIO

from harness.attempt.messages import CRASHED, OUTPUT_FILE, State
from harness.base.errors import DiedError, environment_failure, in_a_line, kind_of
from harness.base.processes import descendants
from harness.execution.interruptions import INTERRUPTIONS, PREEMPTIONS, listened_to

if TYPE_CHECKING:
    Link = connection.Connection[bytes, bytes]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PRELOADED = "harness.execution.executors.preload"
"""By name: it is the server of workers alone that imports it."""
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # of torch: a tenth of a step's time on the CPU where gradients are large

_GENTLY_S = 1.0  # what a process has between SIGTERM and SIGKILL
_FINISH_S = 5.0  # what a worker has to end by itself once its attempt is over
_PATIENCE_S = 10.0  # with processes that wait for a disk or a GPU, which even SIGKILL does not end at once


@dataclass(frozen=True)
class Told:
    """How a worker ended, for an attempt that left no result. `state` None: its result says all."""

    state: State | None = None
    error: str | None = None
    kind: str | None = None  # of the error

    def to_json(self) -> bytes:
        """Return it as a message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, message: bytes) -> Self:
        """Invert `to_json`."""
        return cls(**json.loads(message))


_AT_ONCE = Told("lost", "its worker was ended at once")


def guard(folder: str, threads: int, environment: Mapping[str, str], timeout_s: float | None, link: "Link") -> None:
    """Make the attempt in `folder` in a child of this process. Any word on `link`, or its end, ends it at once."""
    output = Path(folder) / OUTPUT_FILE
    _print_into(output)
    _leave_interruptions_to_the_driver()
    with suppress(PermissionError):  # of one that leads a session already
        os.setsid()
    adopt_orphans()
    woken, wakes = os.pipe()
    said, says = os.pipe()
    guarded, guards = os.pipe()  # nobody writes there: it ends with the guard
    for descriptor in (woken, wakes, said):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    kills = memory_kills()
    worker = os.fork()
    if worker == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        link.close()
        for descriptor in (woken, wakes, said, guards):
            os.close(descriptor)
        _work(Path(folder), threads, environment, says, guarded)
        return  # into multiprocessing's own end of a process, which ends what libraries have left open
    os.close(says)
    os.close(guarded)
    told = _Watch(worker, link, woken, said, timeout_s, kills).until_the_end()
    _end_all(worker)
    with suppress(OSError):
        if output.stat().st_size == 0:
            output.unlink()
    with suppress(OSError):  # of a driver that died
        link.send_bytes(told.to_json())


@dataclass
class _Watch:
    """What a guard waits for."""

    worker: int
    link: "Link"
    woken: int  # readable when a child has ended
    said: int  # where the worker says that its attempt is over
    timeout_s: float | None
    kills: int | None
    message: bytes = b""
    silent: bool = False  # the worker can say nothing any more

    def until_the_end(self) -> Told:
        """Return how the attempt ended, or that it is to be ended now."""
        deadline = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        while True:
            watched: list[Link | int] = [self.link, self.woken]
            if not (self.message or self.silent):
                watched.append(self.said)
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = connection.wait(watched, left)
            with suppress(BlockingIOError):
                os.read(self.woken, 4096)
            status = _reap(self.worker)
            if not self.message and self._hear():
                deadline = time.monotonic() + _FINISH_S
            if status is not None:
                return self._by(os.waitstatus_to_exitcode(status))
            if self.link in ready:
                return _AT_ONCE
            if not ready:
                return Told.from_json(self.message) if self.message else self._too_long()

    def _hear(self) -> bool:
        """Return whether the worker has said that its attempt is over."""
        with suppress(BlockingIOError):
            self.message = os.read(self.said, 1 << 16)
            self.silent = not self.message
        return bool(self.message)

    def _too_long(self) -> Told:
        return Told("timeout", f"it took longer than the {self.timeout_s:g} s that it was allowed to")

    def _by(self, code: int) -> Told:
        """Return how a worker ended by its exit code."""
        if self.message:
            return Told.from_json(self.message)
        if code >= 0:
            return Told("lost", f"its worker process ended itself with exit code {code}", CRASHED)
        if code != -signal.SIGKILL:
            return Told("lost", f"its worker process was killed by {_name(-code)}", CRASHED)
        now = memory_kills()
        if self.kills is not None and now is not None and now > self.kills:
            return Told("oom", "the kernel killed its worker process because memory was used up")
        return Told("lost", "its worker process was killed by SIGKILL, possibly because memory was used up", CRASHED)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _reap(worker: int) -> int | None:
    """Collect the children that have ended; return the worker's status if it is among them."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == worker:
                found = ended[1]
    return found


def _end_all(worker: int) -> None:
    """End the worker at once, and all that it has left: gently, then not."""
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)
    begun, asked = time.monotonic(), set[int]()
    while _has_children() and (passed := time.monotonic() - begun) < _PATIENCE_S:
        number = signal.SIGTERM if passed < _GENTLY_S else signal.SIGKILL
        for pid in descendants(os.getpid()):
            if number == signal.SIGKILL or pid not in asked:
                asked.add(pid)
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        time.sleep(0.01)
    with suppress(ProcessLookupError, PermissionError):  # where orphans cannot be adopted
        os.killpg(worker, signal.SIGKILL)


def _has_children() -> bool:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _work(folder: Path, threads: int, environment: Mapping[str, str], says: int, guarded: int) -> None:
    """Make the attempt in this process, the worker, for as long as its guard lives."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_guard, args=(guarded,), daemon=True).start()
    _Forks()
    multiprocessing.current_process().daemon = False  # of multiprocessing: one that may have no children
    faulthandler.enable()  # a segfault leaves a trace where all that it prints is
    os.environ.clear()
    os.environ.update(environment)
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    os.environ.setdefault(HUGE_PAGES, "1")
    told = Told()
    try:
        if PRELOADED in sys.modules:
            sys.modules[PRELOADED].forget_if_edited()
        from harness.training.attempt import run_attempt

        run_attempt(folder)
    except DiedError as error:
        told = Told("lost", str(error), CRASHED)
    except BaseException as error:  # noqa: BLE001 - the last border of an attempt: its request, its result, its files
        with suppress(BaseException):  # a person's own class
            traceback.print_exc()
        state: State = "interrupted" if environment_failure(error) else "failed"
        told = Told(state, in_a_line(error), kind_of(error))
    with suppress(OSError):  # of a pipe that the attempt has closed
        os.write(says, told.to_json())


def _end_with_guard(guarded: int) -> None:
    """End this process and its group when the guard has died."""
    os.read(guarded, 1)
    os.killpg(0, signal.SIGKILL)


def _print_into(output: Path) -> None:
    """Let all that this process and its descendants print go to a file, or nowhere; nothing can be read from stdin."""
    nothing = os.open(os.devnull, os.O_RDWR)
    while nothing < 3:  # of a driver that was started without one of the three
        nothing = os.dup(nothing)
    try:
        printed = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError:
        printed = os.dup(nothing)
    for descriptor, target in ((nothing, 0), (printed, 1), (printed, 2)):
        os.dup2(descriptor, target)
    os.close(nothing)
    os.close(printed)
    sys.stdout, sys.stderr = _lines(1), _lines(2)


def _lines(descriptor: int) -> TextIO:
    """Return a descriptor as a text file that is written line by line, whatever the text."""
    return open(  # for as long as the process lives
        descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def _wait_for_the_driver(_number: int, _frame: FrameType | None) -> None:
    """Do nothing about a signal: it is the driver that asks for a checkpoint, by a file in the attempt's folder."""


def _leave_interruptions_to_the_driver() -> None:
    """Neither die of interruptions nor ignore them: what is ignored, other programs would inherit."""
    for number in listened_to() | PREEMPTIONS:
        signal.signal(number, _wait_for_the_driver)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTIONS | PREEMPTIONS)


class _Forks:
    """Lets processes that are forked off a worker die of interruptions, as their parent expects.

    None is delivered while a child still has its parent's handlers: it would be lost.
    """

    def __init__(self) -> None:
        self._before = threading.local()
        os.register_at_fork(before=self._hold_back, after_in_parent=self._let_pass, after_in_child=self._as_usual)

    def _hold_back(self) -> None:
        self._before.mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)

    def _let_pass(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before.mask)

    def _as_usual(self) -> None:
        if signal.getsignal(signal.SIGINT) is _wait_for_the_driver:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in INTERRUPTIONS:
            if signal.getsignal(number) is _wait_for_the_driver:
                signal.signal(number, signal.SIG_DFL)
        self._let_pass()


# What Linux says about processes; elsewhere nothing is known, and the guard makes do with process groups.
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that none of them is lost from sight."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def memory_kills(cgroups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many processes of this one's cgroup the kernel has killed for memory; None if it does not say."""
    for counter in _counters(cgroups, mounted):
        try:
            lines = counter.read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        for name, _, count in (line.partition(" ") for line in lines):
            if name == "oom_kill" and count.isdigit():
                return int(count)
    return None


def _counters(cgroups: Path, mounted: Path) -> Iterator[Path]:
    """Yield where the count may be: of this process's cgroup, or of the root that a container sees in its place."""
    try:
        entries = [line.split(":", 2) for line in cgroups.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return
    places: tuple[Path, ...]
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        if controllers == "":  # version 2
            places, file = (mounted, mounted / "unified"), "memory.events"
        elif "memory" in controllers.split(","):
            places, file = (mounted / "memory",), "memory.oom_control"
        else:
            continue
        for place in places:
            yield place / path.lstrip("/") / file
            yield place / file
