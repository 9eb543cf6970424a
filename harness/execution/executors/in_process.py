"""The executor for debugging: each attempt in the driver's own process, so that `breakpoint()` and a profiler reach it.

It gives the same numbers as a worker with as many threads. What it does not give: several attempts side by side, a time
limit, and safety: a segfault or `os._exit` takes the driver along, and what the attempt imports or sets stays.
"""

import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from harness.attempt.messages import STOP_FILE
from harness.base.errors import in_a_line
from harness.execution.executors.base import Ended, attempt_name


class InProcessExecutor:
    """One attempt at a time, made by `wait`."""

    slots = 1

    def __init__(self) -> None:
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder = None

    def start(self, folder: Path, timeout_s: float | None) -> None:  # noqa: ARG002 - `check_executor` refuses one
        """Take note of the attempt in `folder`, for which there is no time limit."""
        self._folder = folder

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Make the attempt, however long that takes. The first Ctrl-C ends it at a checkpoint, a second one at once."""
        from harness.training.attempt import run_attempt

        folder, self._folder = self._folder, None
        if folder is None:
            time.sleep(timeout_s)
            return []
        try:
            with _named(attempt_name(folder)), _stopped_by_ctrl_c(folder):
                run_attempt(folder)
        except Exception as error:  # noqa: BLE001 - the border of an attempt: a request that is not understood
            return [Ended(folder, "failed", in_a_line(error), type(error).__name__)]
        return [Ended(folder)]

    def kill(self) -> None:
        """End nothing: while an attempt runs, nobody can call this."""


@contextmanager
def _named(name: str) -> Iterator[None]:
    process = multiprocessing.current_process()
    before, process.name = process.name, name
    try:
        yield
    finally:
        process.name = before


@contextmanager
def _stopped_by_ctrl_c(folder: Path) -> Iterator[None]:
    """Ask the attempt to stop at the first Ctrl-C, interrupt it at the second; the driver hears of both."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    driver = signal.getsignal(signal.SIGINT)

    def heard(number: int, frame: FrameType | None) -> None:
        asked = (folder / STOP_FILE).exists()
        (folder / STOP_FILE).touch()
        if callable(driver):
            driver(number, frame)
        if asked:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, driver)
