"""How far an attempt is, for whoever watches; nothing here can change a result."""

import json
import math
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.attempt.messages import PROGRESS_FILE

if TYPE_CHECKING:
    from harness.training.checkpoint import Progress  # which wakes torch

_WRITE_EVERY_S = 0.5


class ProgressFile:
    """A small file in the attempt's folder that says how far the attempt is; none without a folder."""

    def __init__(self, folder: Path | None, epochs: int, steps: int) -> None:
        self._path = None if folder is None else folder / PROGRESS_FILE
        self._epochs, self._steps = epochs, steps
        self._written = 0.0
        self._start: tuple[float, int] | None = None
        self.loss: float | None = None
        self.metric: tuple[str, float] | None = None  # the primary one, by its name

    def write(self, progress: "Progress", *, at_once: bool = False) -> None:
        """Write the progress, at most every half second unless `at_once`."""
        now = time.monotonic()
        if self._path is None or (not at_once and now - self._written < _WRITE_EVERY_S):
            return
        if self._start is None:
            self._start = (now, progress.images)
        seconds, images = now - self._start[0], progress.images - self._start[1]
        state = {
            "epoch": progress.epoch,
            "epochs": self._epochs,
            "step": progress.step,
            "steps": self._steps,
            "loss": _finite(self.loss),
            **({} if self.metric is None else {"metric_name": self.metric[0], "metric": _finite(self.metric[1])}),
            "images_per_s": images / seconds if seconds > 0 else None,
        }
        _write(self._path, state)
        self._written = now


class ItemProgressFile:
    """The same for an evaluation: how many items of all conditions are done."""

    def __init__(self, folder: Path, items: int) -> None:
        self._path, self._items = folder / PROGRESS_FILE, items
        self._written = 0.0

    def write(self, done: int, what: str, metric: tuple[str, float]) -> None:
        """Write how many are done, which evaluation it is at, and a metric there; at most every half second."""
        now = time.monotonic()
        if done < self._items and now - self._written < _WRITE_EVERY_S:
            return
        name, value = metric
        state = {"step": done, "steps": self._items, "items": what, "metric_name": name, "metric": _finite(value)}
        _write(self._path, state)
        self._written = now


class FunctionProgressFile:
    """The same for a person's own function: what it reported last, the `declared` metrics first."""

    def __init__(self, folder: Path, declared: Iterable[str]) -> None:
        self._path = folder / PROGRESS_FILE
        self._declared: dict[str, float | None] = dict.fromkeys(declared)
        self._written = 0.0
        self.steps: int | None = None  # that it will report, if it has said so

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write a step with its metrics, and the declared ones as reported before; at most every half second."""
        known = {name: _finite(float(value)) for name, value in metrics.items()}
        self._declared.update((name, value) for name, value in known.items() if name in self._declared)
        now = time.monotonic()
        if now - self._written < _WRITE_EVERY_S:
            return
        shown = {name: value for name, value in self._declared.items() if value is not None}
        steps = {} if self.steps is None else {"steps": self.steps}
        _write(self._path, {"step": step, **steps, "metrics": {**shown, **known}})
        self._written = now


def _finite(value: float | None) -> float | None:
    """Return a number that JSON can hold, or None."""
    return value if value is not None and math.isfinite(value) else None


def _write(path: Path, state: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    with suppress(OSError):  # a full disk, say: what is told must not end what it tells of
        part.write_text(json.dumps(state), encoding="utf-8")
        part.replace(path)
