"""The local executor: attempts in spawned worker processes of this machine, a fresh one for each.

So an attempt runs the code that its digest names, and its peak of memory is its own.

A worker that dies takes nothing along but its own attempt. Workers ignore Ctrl-C: it is the driver that asks them, by a
file in the attempt's folder, to end at a checkpoint.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pebble import ProcessExpired, ProcessPool


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
        self._pool = ProcessPool(
            max_workers=slots,
            max_tasks=1,
            context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
            initargs=(threads,),
        )
        self._running: dict[Future[str], Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
        else:
            self._pool.close()  # type: ignore[no-untyped-call]
        self._pool.join()

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Begin the attempt whose request lies in `folder`, in the next free worker."""
        future = self._pool.schedule(_work, args=(str(folder),), timeout=timeout_s)
        self._running[future] = folder

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some attempt ends, at most so long, and return those that ended."""
        if not self._running:
            time.sleep(timeout_s)
            return []
        finished, _ = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return [_ended(future, self._running.pop(future)) for future in finished]

    def kill(self) -> None:
        """End all workers at once; their attempts are lost."""
        self._pool.stop()  # type: ignore[no-untyped-call]


def _ended(future: "Future[str]", folder: Path) -> Ended:
    error = future.exception()
    if error is None:
        return Ended(folder)
    if isinstance(error, TimeoutError):
        return Ended(folder, "timeout", str(error) or "the attempt took longer than it was allowed to")
    if isinstance(error, ProcessExpired):
        return Ended(folder, "lost", f"the worker process ended with code {error.exitcode}")
    return Ended(folder, "failed", f"{type(error).__name__}: {error}")


def _prepare_worker(threads: int) -> None:
    """Make a fresh worker leave Ctrl-C to the driver, and fix its threads before any library counts the cores."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def _work(folder: str) -> str:
    from harness.training.attempt import run_attempt

    return run_attempt(Path(folder))
