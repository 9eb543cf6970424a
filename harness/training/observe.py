"""Curves: what is looked at while training, without changing it, and written as it comes.

Every 100 steps: the training loss since the last point, the accuracy on the first 2,000 images of the observed split,
mean and variance of the last hidden layer on the first 1,000. After every epoch: accuracy and loss on all of it. The
observed split is the test set, or the validation split where the trial keeps one out. The time is taken out of the
training time.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

from torch import nn

from harness.spec.attempt import CURVE_FILE, Point, flagged
from harness.spec.files import atomic_write
from harness.tasks.classification import OBSERVED_ACCURACY, OBSERVED_HIDDEN, Classification, Evaluated

OBSERVE_EVERY = 100


class Curve:
    """The points of an attempt so far, in memory and in its folder."""

    def __init__(self, folder: Path, points: tuple[Point, ...] = ()) -> None:
        self._path = folder / CURVE_FILE
        self.points = list(points)
        atomic_write(self._path, "".join(_line(point) for point in points))

    def add(self, split: str, name: str, step: int, value: float) -> None:
        """Add a point and write it."""
        number, flag = flagged(value)
        point = Point(split, name, step, number, flag)
        self.points.append(point)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(point))

    def sync(self) -> None:
        """Make what was written durable, before a result says that it is there."""
        with self._path.open("rb+") as file:
            os.fsync(file.fileno())


def _line(point: Point) -> str:
    return json.dumps(asdict(point), allow_nan=False) + "\n"


class Observer:
    """Looks at a network in training and writes what it sees into a curve."""

    def __init__(self, task: Classification, curve: Curve) -> None:
        self._task = task
        self._curve = curve

    def observe(self, model: nn.Module, step: int, train_loss: float) -> float:
        """Add the points of every 100th step; return the accuracy on the first images."""
        task, split = self._task, self._task.observed_split
        model.eval()
        seen = task.glimpse(model)
        model.train()
        self._curve.add("train", "loss", step, train_loss)
        self._curve.add(f"{split}[:{OBSERVED_ACCURACY}]", "accuracy", step, seen.accuracy)
        self._curve.add(f"{split}[:{OBSERVED_HIDDEN}]", "hidden_mean", step, seen.hidden_mean)
        self._curve.add(f"{split}[:{OBSERVED_HIDDEN}]", "hidden_variance", step, seen.hidden_variance)
        return seen.accuracy

    def epoch(self, model: nn.Module, step: int) -> Evaluated:
        """Add accuracy and loss on the whole observed split after an epoch."""
        model.eval()
        evaluated = self._task.evaluate(model, self._task.observed)
        model.train()
        self._curve.add(self._task.observed_split, "accuracy", step, evaluated.accuracy)
        self._curve.add(self._task.observed_split, "loss", step, evaluated.loss)
        return evaluated
