"""The local executor: attempts in worker processes of this machine, a fresh one for each.

So an attempt runs the code that its digest names, and its peak of memory is its own. Workers are forked off a small
server that has imported what others made: torch, which takes two seconds, once for all of them instead of for each; for
functions of a person's own no torch, if they do not import it. What it has imported of ours counts as long as no file
of ours changes (`preload`).

A worker that dies takes nothing along but its own attempt and what that has started (`guard`). Workers leave Ctrl-C to
the driver, which asks them, by a file in the attempt's folder, to end at a checkpoint. A worker whose driver dies ends
at once.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from harness.attempt.messages import LOCK_FILE
from harness.base.locks import is_held
from harness.execution.executors.base import Ended, EndsWhatRuns, attempt_name
from harness.execution.executors.guard import HUGE_PAGES, PRELOADED, THREADS, Told, guard
from harness.execution.interruptions import INTERRUPTIONS, PREEMPTIONS
from harness.execution.libraries import WITH_TORCH

if TYPE_CHECKING:
    from harness.execution.executors.guard import Link

_PATIENCE_S = 15.0  # longer than a guard has with processes that do not end


class LocalExecutor(EndsWhatRuns):
    """Attempts in up to `slots` worker processes of this machine, with so many threads each.

    `libraries` are those that most of them will import.
    """

    patience_s = _PATIENCE_S

    def __init__(self, slots: int, threads: int, libraries: Sequence[str] = WITH_TORCH) -> None:
        self.slots = slots
        self._threads = threads
        self._context = _context(threads, libraries)
        self._running: dict[Link, tuple[Path, BaseProcess]] = {}

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Begin the attempt whose request lies in `folder`, in a process of its own.

        Raises OSError if this machine cannot start another process.
        """
        try:
            self._start(self._context, folder, timeout_s)
        except (EOFError, OSError):  # the server was killed; without it workers take longer to begin
            self._start(multiprocessing.get_context("spawn"), folder, timeout_s)

    def _start(self, context: BaseContext, folder: Path, timeout_s: float | None) -> None:
        link, theirs = cast("tuple[Link, Link]", multiprocessing.Pipe())
        arguments = (str(folder), self._threads, dict(os.environ), timeout_s, theirs)
        named = {"name": attempt_name(folder), "daemon": True}
        process = cast("BaseProcess", context.Process(target=guard, args=arguments, **named))  # type: ignore[attr-defined]
        try:
            with _interruptions_blocked(), _main_hidden(), worker_environment(self._threads), theirs:
                process.start()  # which starts the server, too, if that was killed meanwhile
        except BaseException:
            link.close()
            raise
        self._running[link] = folder, process

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some attempt ends, at most so long, and return those that ended."""
        if not self._running:
            time.sleep(timeout_s)
            return []
        ready = connection.wait(list(self._running), timeout_s)
        return [self._ended(link) for link in list(self._running) if link in ready]

    def _ended(self, link: "Link") -> Ended:
        folder, process = self._running.pop(link)
        with link:
            try:
                told = Told.from_json(link.recv_bytes())
            except (EOFError, OSError):
                told = Told("lost", "the process that guards its worker was killed")
                _until_free(folder)
        process.join(_PATIENCE_S)
        return Ended(folder, told.state, told.error, told.kind)

    def kill(self) -> None:
        """End all workers at once; their attempts are lost."""
        for link in self._running:
            with suppress(OSError):  # of a guard that has ended
                link.send_bytes(b"end")


def _until_free(folder: Path) -> None:
    """Wait until a worker whose guard was killed has ended, which it does by itself."""
    deadline = time.monotonic() + _PATIENCE_S
    while is_held(folder / LOCK_FILE) and time.monotonic() < deadline:
        time.sleep(0.02)


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
        context.set_forkserver_preload([*libraries, PRELOADED])
        with _interruptions_blocked(), worker_environment(threads):
            forkserver.ensure_running()
        _server = threads, torch
    return context


@contextmanager
def worker_environment(threads: int) -> Iterator[None]:
    """Let a process that is started in the block see so many threads, and torch's large tensors lie on huge pages."""
    before = {name: os.environ.get(name) for name in (*THREADS, HUGE_PAGES)}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    os.environ.setdefault(HUGE_PAGES, "1")
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
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS | PREEMPTIONS)
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
