"""The local executor: attempts in spawned worker processes of this machine, a fresh one for each.

So an attempt runs the code that its digest names, and its peak of memory is its own.

A worker that dies takes nothing along but its own attempt. Workers ignore Ctrl-C: it is the driver that asks them, by a
file in the attempt's folder, to end at a checkpoint. A worker whose driver dies ends within a second.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Protocol, Self

from pebble import ProcessExpired, concurrent

_WATCH_EVERY_S = 0.2
_PATIENCE_S = 10.0  # a worker that does not end when it is asked to is killed after three seconds


@dataclass(frozen=True)
class Ended:
    """An attempt whose worker is through with it. `error` where it left no result: a dead worker, a timeout."""

    folder: Path
    state: str | None = None  # lost, timeout, failed; None where the result is in the folder
    error: str | None = None


class Executor(Protocol):
    """What carries out attempts, wherever: the driver needs no more than this."""

    slots: int

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Begin the attempt whose request lies in `folder`."""

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some attempt ends, at most so long, and return those that ended."""

    def kill(self) -> None:
        """End all workers at once."""


class LocalExecutor:
    """Attempts in up to `slots` worker processes of this machine, with so many threads each."""

    def __init__(self, slots: int, threads: int) -> None:
        self.slots = slots
        self._threads = threads
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[Future[str], Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        names = {_name(folder) for folder in self._running.values()}
        self.kill()
        for thread in threading.enumerate():  # pebble's, one a worker: it alone may wait for its process
            if thread.name in names:
                thread.join(_PATIENCE_S)

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Begin the attempt whose request lies in `folder`, in a process of its own."""
        start = concurrent.process(name=_name(folder), timeout=timeout_s, context=self._context)  # type: ignore[call-overload]
        with _interruptions_blocked(), _main_hidden():
            future = start(_work)(str(folder), self._threads, os.getpid())
        self._running[future] = folder

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some attempt ends, at most so long, and return those that ended."""
        if not self._running:
            time.sleep(timeout_s)
            return []
        if not any(future.cancelled() for future in self._running):
            wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        finished = [future for future in self._running if future.done()]
        return [_ended(future, self._running.pop(future)) for future in finished]

    def kill(self) -> None:
        """End all workers at once; their attempts are lost."""
        for future in self._running:
            future.cancel()


def in_worker() -> bool:
    """Return whether this process is a worker, which makes one attempt and nothing else."""
    return multiprocessing.current_process().name.startswith(_NAMED)


_NAMED = "attempt "


def _name(folder: Path) -> str:
    return f"{_NAMED}{folder.name}"


def _ended(future: "Future[str]", folder: Path) -> Ended:
    if future.cancelled():
        return Ended(folder, "lost", "its worker was ended at once")
    error = future.exception()
    if error is None:
        return Ended(folder)
    if isinstance(error, TimeoutError):
        return Ended(folder, "timeout", f"it took longer than the {error.args[-1]:g} s that it was allowed to")
    if isinstance(error, ProcessExpired):
        return Ended(folder, "lost", f"the worker process ended with code {error.exitcode}")
    return Ended(folder, "failed", " ".join(f"{type(error).__name__}: {error}".split()))


@contextmanager
def _interruptions_blocked() -> Iterator[None]:
    """Start a process that never sees Ctrl-C, not even before it can say so itself; ours comes after the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # the first process that is spawned starts it, which would end the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Start a process that does not run the script anew that runs here, as spawned ones do: it needs nothing of it.

    So a script that calls `harness.run` needs no `if __name__ == "__main__":`.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _prepare_worker(threads: int) -> None:
    """Make a fresh worker leave Ctrl-C to the driver, and fix its threads before any library counts the cores."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal and a cluster send these to the whole group
        signal.signal(number, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def _work(folder: str, threads: int, driver: int) -> str:
    """Make an attempt in this process, a fresh worker, for as long as the process `driver` lives."""
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    _prepare_worker(threads)
    from harness.training.attempt import run_attempt

    state = run_attempt(Path(folder))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the result is written: from here on it may end at once
    return state


def _end_with(driver: int) -> None:
    """End this process when its driver has died, from its first moment on."""
    while os.getppid() == driver:
        time.sleep(_WATCH_EVERY_S)
    os._exit(1)
