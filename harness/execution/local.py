"""The local executor: attempts in worker processes of this machine, a fresh one for each.

So an attempt runs the code that its digest names, and its peak of memory is its own. Workers are forked off a small
server that has imported what others made and nothing of ours: torch, which takes two seconds, once for all of them
instead of for each; for functions of a person's own no torch, where they do not import it.

A worker that dies takes nothing along but its own attempt. Workers ignore Ctrl-C: it is the driver that asks them, by a
file in the attempt's folder, to end at a checkpoint. A worker whose driver dies ends within a second.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Protocol, Self

from pebble import ProcessExpired, concurrent

from harness.execution.libraries import WITH_TORCH
from harness.spec.attempt import State
from harness.spec.errors import environment_failure

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"  # of torch: a tenth of a step's time on the CPU where gradients are large
_PATIENCE_S = 10.0  # a worker that does not end when it is asked to is killed after three seconds


@dataclass(frozen=True)
class Ended:
    """An attempt whose worker is through with it. `error` where it left no result: a dead worker, a timeout."""

    folder: Path
    state: State | None = None  # lost, timeout, failed; None where the result is in the folder
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
    """Attempts in up to `slots` worker processes of this machine, with so many threads each.

    `libraries` are those that most of them will import.
    """

    def __init__(self, slots: int, threads: int, libraries: Sequence[str] = WITH_TORCH) -> None:
        self.slots = slots
        self._threads = threads
        self._context = _context(threads, libraries)
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
            future = start(_work)(str(folder), self._threads, dict(os.environ))
        self._running[cancelled_for_good(future)] = folder

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
_INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM})


def _name(folder: Path) -> str:
    return f"{_NAMED}{folder.name}"


def cancelled_for_good(future: "Future[str]") -> "Future[str]":
    """Let what is given to a future after it was cancelled be dropped.

    Pebble's thread may hold a result by then, waiting for its process to end; it would fail, with a traceback.
    """

    def give(how: Callable[[Any], None], what: object) -> None:
        try:
            how(what)
        except InvalidStateError:
            if not future.cancelled():
                raise

    for name in ("set_result", "set_exception"):
        setattr(future, name, partial(give, getattr(future, name)))
    return future


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
    state: State = "interrupted" if environment_failure(error) else "failed"
    return Ended(folder, state, " ".join(f"{type(error).__name__}: {error}".split()))


_server: tuple[int, bool] | None = None
"""Threads of the one server that Python keeps a process, and whether it has torch; None before it was started."""


def _context(threads: int, libraries: Sequence[str]) -> BaseContext:
    """Return how workers with so many threads are started: forked off the server, or else each anew.

    Libraries that the server has loaded counted their threads then: it serves those who want as many, and no torch
    where it has none.
    """
    global _server  # noqa: PLW0603 - it is Python that has one server a process
    torch = "torch" in libraries
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    if _server is not None and (_server[0] != threads or (torch and not _server[1])):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    if _server is None:
        context.set_forkserver_preload(list(libraries))
        with _interruptions_blocked(), worker_environment(threads):
            forkserver.ensure_running()
        _server = threads, torch
    return context


@contextmanager
def worker_environment(threads: int) -> Iterator[None]:
    """Let a process that is started in the block see so many threads, and torch's large tensors lie on huge pages."""
    before = {name: os.environ.get(name) for name in (*_THREADS, _HUGE_PAGES)}
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    os.environ.setdefault(_HUGE_PAGES, "1")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interruptions_blocked() -> Iterator[None]:
    """Start a process that is not ended by what a terminal or a cluster sends to the whole group.

    Not even before it can say so itself; ours comes after the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # the first process that is started starts it, which would end the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTIONS)
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


def _prepare_worker(threads: int, environment: Mapping[str, str]) -> None:
    """Make a fresh worker leave Ctrl-C to the driver, with its environment of now, and fix its threads."""
    for number in _INTERRUPTIONS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTIONS)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    os.environ.setdefault(_HUGE_PAGES, "1")


def _work(folder: str, threads: int, environment: Mapping[str, str]) -> str:
    """Make an attempt in this process, a fresh worker, for as long as its driver lives."""
    threading.Thread(target=_end_with_driver, daemon=True).start()
    _prepare_worker(threads, environment)
    from harness.training.attempt import run_attempt

    state = run_attempt(Path(folder))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the result is written: from here on it may end at once
    return state


def _end_with_driver() -> None:
    """End this process when its driver has died, from its first moment on."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        connection.wait([driver.sentinel])
        os._exit(1)
