"""What a person sees while attempts run: bars on a terminal, one line per epoch elsewhere. All on stderr."""

import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from harness.attempt.messages import AttemptResult
from harness.base.errors import printable
from harness.cli.terminal import behind
from harness.execution.lines import Lines, progress_words, summary_line
from harness.execution.options import Display


class ShownDisplay(Display, Protocol):
    """A display that is opened for as long as attempts run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display() -> ShownDisplay:
    """Return bars where stderr is a terminal, lines where it is not."""
    return Bars() if sys.stderr.isatty() else Lines()


class Bars:
    """A bar for all attempts and one for each that runs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),  # a trial may be called [relu]
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=Console(file=behind(sys.stderr)),
        )
        self._all = self._progress.add_task("all", total=None, words="")
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a terminal that is gone
            self._progress.stop()

    def total(self, attempts: int) -> None:
        """Set the length of the bar for all."""
        self._progress.update(self._all, total=attempts)

    def started(self, label: str, *, resumed: bool) -> None:
        """Add a bar."""
        words = "goes on" if resumed else "begins"
        self._tasks[label] = self._progress.add_task(printable(label), total=None, words=words)

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Move a bar."""
        words = printable(progress_words(state))
        self._progress.update(self._tasks[label], completed=state["step"], total=state.get("steps"), words=words)

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Replace a bar by a line."""
        self._progress.remove_task(self._tasks.pop(label))
        self._progress.advance(self._all)
        line = printable(summary_line(label, state, result, error))
        self._progress.console.print(line, highlight=False, markup=False)
