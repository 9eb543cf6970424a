"""What happens to attempts in words, and a display that says it line by line; without a terminal, and from Python."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
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


def progress_words(state: dict[str, Any]) -> str:
    """Return epoch, loss, metric, speed and time left as words; of a person's own function, its last step.

    Of an evaluation by itself: items done, and the mean so far of the current evaluation's metric.
    """
    if "metrics" in state:
        metrics = (f"{name} {value:.4g}" for name, value in state["metrics"].items() if value is not None)
        return ", ".join([f"step {state['step']}", *metrics])
    if "items" in state:
        words = [f"image {state['step']}/{state['steps']} ({state['items']})"]
        metric = state.get("metric")
        name = f"mean {state.get('metric_name', 'metric')} so far"
        return ", ".join(words if metric is None else [*words, f"{name} {metric:.4f}"])
    words = [f"epoch {min(state['epoch'] + 1, state['epochs'])}/{state['epochs']}"]
    if state.get("loss") is not None:
        words.append(f"loss {state['loss']:.4f}")
    if state.get("metric") is not None:
        words.append(f"{state.get('metric_name', 'metric')} {state['metric']:.4f}")
    if state.get("images_per_s"):
        words.append(f"{state['images_per_s']:,.0f} images/s")
    return ", ".join(words)


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
        self._say(f"{label}: {'goes on' if resumed else 'begins'}")

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
        self._done += 1
        self._say(f"[{self._done}/{self._total}] {summary_line(label, state, result, error)}")
