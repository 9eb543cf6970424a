"""What happens to attempts in words, and a display that says it line by line; without a terminal, and from Python."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from harness.attempt.messages import AttemptResult, unflagged
from harness.base.clock import now
from harness.base.errors import printable, shortened


def summary_line(label: str, state: str, result: AttemptResult | None, error: str | None) -> str:
    """Return one line on how an attempt ended."""
    if error is not None:
        return f"{label}: {state} ({shortened(error, 1000)})"
    values: dict[str, float] = {}
    for found in () if result is None else result.results:
        values.setdefault(found.name, unflagged(found.value, found.flag))  # of several evaluations the first
    measures = {} if result is None else {m.name: m.value for m in result.measures}
    parts = [f"{name} {value:.4f}" for name, value in values.items()]
    times = ("train_s_per_epoch", "test_s", "test_s_per_image", "run_s")
    parts += [f"{name} {measures[name]:.3f}" for name in times if measures.get(name) is not None]
    return f"{label}: {state}" + (f", {', '.join(parts)}" if parts else "")


@dataclass(frozen=True)
class Said:
    """How far an attempt says that it is."""

    count: str
    """Of epochs, steps or images: "epoch 3/20"."""
    values: tuple[str, ...]
    """What it measures, the primary metric first."""
    done: float | None
    """Which share of it is done, 0 to 1; None if it does not say how much there is."""


def said(state: Mapping[str, Any]) -> Said:
    """Return epoch, metric, loss and speed in words; of a person's own function, its steps and metrics.

    Of an evaluation by itself: images done, and the mean so far of the current evaluation's metric.
    """
    steps = state.get("steps")
    if "metrics" in state:
        values = tuple(f"{name} {value:.4g}" for name, value in state["metrics"].items() if value is not None)
        if not steps:
            return Said(f"step {state['step']}", values, None)
        step = min(state["step"] + 1, steps)  # steps are counted from 0
        return Said(f"{step}/{steps} steps", values, step / steps)
    done = min(1.0, state["step"] / steps) if steps else None
    metric, name = state.get("metric"), state.get("metric_name", "metric")
    if "items" in state:
        mean = () if metric is None else (f"mean {name} so far {metric:.4f}",)
        return Said(f"image {state['step']}/{steps}", (*mean, state["items"]), done)
    values = () if metric is None else (f"{name} {metric:.4f}",)
    if state.get("loss") is not None:
        values = (*values, f"loss {state['loss']:.4f}")
    if state.get("images_per_s"):
        values = (*values, f"{state['images_per_s']:,.0f} images/s")
    return Said(f"epoch {min(state['epoch'] + 1, state['epochs'])}/{state['epochs']}", values, done)


def progress_words(state: Mapping[str, Any]) -> str:
    """Return how far an attempt is, and what it measures, in words."""
    found = said(state)
    return ", ".join([found.count, *found.values])


UNFINISHED = frozenset({"interrupted", "skipped"})
"""Ends of attempts after which their runs are still to be made; every other counts as one of those asked for."""


def to_stderr(line: str) -> None:
    """Print a line on stderr, whatever that is at the moment; nowhere if there is none, or if it takes none."""
    if sys.stderr is not None:  # `print` would take stdout for it
        with suppress(OSError, ValueError):  # of a full disk, a broken pipe; of a stream that was closed
            print(printable(line), file=sys.stderr, flush=True)


class _Unopened:
    """A display that needs no opening and no closing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Events(_Unopened):
    """A line of JSON on stdout for each thing that happens: total, started, progress, ended."""

    def __init__(self, say: Callable[[str], None] = print) -> None:
        self._say = say
        self._shown: dict[str, dict[str, Any]] = {}

    def _event(self, event: str, **facts: Any) -> None:
        self._say(json.dumps({"event": event, "at": now(), **facts}))
        sys.stdout.flush()

    def total(self, attempts: int) -> None:
        """Tell how many attempts there will be."""
        self._event("total", attempts=attempts)

    def started(self, label: str, *, resumed: bool) -> None:
        """Tell that an attempt begins."""
        self._event("started", run=label, resumed=resumed)

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Tell how far an attempt is, if that has changed."""
        if self._shown.get(label) != state:
            self._shown[label] = state
            self._event("progress", run=label, **state)

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Tell how an attempt ended; a number that JSON lacks is a word."""
        values: dict[str, float | str | None] = {}
        for found in () if result is None else result.results:
            values.setdefault(found.name, found.value if found.flag == "ok" else found.flag)
        uid = None if result is None else result.uid
        self._event("ended", run=label, state=state, attempt=uid, error=error, results=values)


_LINES_PER_EVALUATION = 10


class Lines(_Unopened):
    """A line when an attempt begins, after each of its epochs or tenths of an evaluation, and when it ends."""

    def __init__(self, say: Callable[[str], None] = to_stderr) -> None:
        self._say = say
        self._total = self._done = 0
        self._epochs: dict[str, int] = {}

    def total(self, attempts: int) -> None:
        """Remember how many attempts there will be."""
        self._total = attempts

    def started(self, label: str, *, resumed: bool) -> None:
        """Say that an attempt begins."""
        self._say(f"{label}: {'resumes' if resumed else 'begins'}")

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Say it when another epoch is done, or a function has reported another step."""
        if "items" in state:
            reached = _LINES_PER_EVALUATION * state["step"] // max(1, state["steps"])
        else:
            reached = state["step"] if "metrics" in state else state["epoch"]
        if reached > self._epochs.get(label, 0):
            self._epochs[label] = reached
            words = progress_words({**state, "epoch": reached - 1} if "epoch" in state else state)
            self._say(f"{label}: {words}")

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Say how an attempt ended."""
        self._done += state not in UNFINISHED
        self._say(f"[{self._done}/{self._total}] {summary_line(label, state, result, error)}")
