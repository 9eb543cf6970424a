"""What a person sees while attempts run: bars on a terminal, a line an epoch elsewhere. All on stderr."""

import sys
from types import TracebackType
from typing import Any, Protocol, Self

import click

from harness.execution.options import Display
from harness.spec.attempt import AttemptResult


class ShownDisplay(Display, Protocol):
    """A display that is opened for as long as attempts run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def display() -> ShownDisplay:
    """Return bars where stderr is a terminal, lines where it is not."""
    return Bars() if sys.stderr.isatty() else Lines()


def summary_line(label: str, state: str, result: AttemptResult | None, error: str | None) -> str:
    """Return one line on how an attempt ended."""
    if error is not None:
        return f"{label}: {state} ({error})"
    values = {} if result is None else {v.name: v.value for v in result.results}
    measures = {} if result is None else {m.name: m.value for m in result.measures}
    parts = [f"{name} {value:.4f}" for name, value in values.items() if value is not None]
    times = ("train_s_per_epoch", "test_s")
    parts += [f"{name} {measures[name]:.3f}" for name in times if measures.get(name) is not None]
    return f"{label}: {state}" + (f", {', '.join(parts)}" if parts else "")


def progress_words(state: dict[str, Any]) -> str:
    """Return epoch, loss, metric, speed and time left as words."""
    words = [f"epoch {min(state['epoch'] + 1, state['epochs'])}/{state['epochs']}"]
    if state.get("loss") is not None:
        words.append(f"loss {state['loss']:.4f}")
    if state.get("metric") is not None:
        words.append(f"accuracy {state['metric']:.4f}")
    if state.get("images_per_s"):
        words.append(f"{state['images_per_s']:,.0f} images/s")
    return ", ".join(words)


class Lines:
    """A line when an attempt begins, after each of its epochs, and when it ends."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._epochs: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def total(self, attempts: int) -> None:
        """Remember how many attempts there will be."""
        self._total = attempts

    def started(self, label: str, *, resumed: bool) -> None:
        """Print that an attempt begins."""
        click.echo(f"{label}: {'goes on' if resumed else 'begins'}", err=True)

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Print a line when another epoch is done."""
        if state["epoch"] > self._epochs.get(label, 0):
            self._epochs[label] = state["epoch"]
            words = progress_words({**state, "epoch": state["epoch"] - 1})
            click.echo(f"{label}: {words}", err=True)

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Print how an attempt ended."""
        self._done += 1
        click.echo(f"[{self._done}/{self._total}] {summary_line(label, state, result, error)}", err=True)


class Bars:
    """A bar for all attempts and one for each that runs."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[words]}"),
            console=Console(stderr=True),
        )
        self._all = self._progress.add_task("all", total=None, words="")
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def total(self, attempts: int) -> None:
        """Set the length of the bar for all."""
        self._progress.update(self._all, total=attempts)

    def started(self, label: str, *, resumed: bool) -> None:
        """Add a bar."""
        words = "goes on" if resumed else "begins"
        self._tasks[label] = self._progress.add_task(label, total=None, words=words)

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Move a bar."""
        words = progress_words(state)
        self._progress.update(self._tasks[label], completed=state["step"], total=state["steps"], words=words)

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Replace a bar by a line."""
        self._progress.remove_task(self._tasks.pop(label))
        self._progress.advance(self._all)
        self._progress.console.print(summary_line(label, state, result, error), highlight=False, markup=False)
