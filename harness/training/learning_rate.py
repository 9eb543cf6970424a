"""Learning rates over a training: a function of the step alone, so that a resumed attempt needs no state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LearningRate:
    """A protocol's schedule, the learning rate of its optimiser (the peak), and the steps of the whole training."""

    schedule: Mapping[str, Any]
    peak: float
    steps: int

    def at(self, *, epoch: int, step: int) -> float:
        """Return the rate of a step, `epoch` epochs and `step` steps after the start.

        Raises ValueError for an unknown kind of schedule.
        """
        kind = self.schedule["kind"]
        if kind == "constant":
            return self.peak
        if kind == "steps":
            changes = zip(self.schedule["at"], self.schedule["to"], strict=True)
            passed = [rate for start, rate in changes if epoch >= start]
            return float(passed[-1]) if passed else self.peak
        if kind == "one_cycle":
            return self.peak * self._one_cycle(min(1.0, (step + 0.5) / self.steps))
        raise ValueError(f"unknown schedule '{kind}'")

    def _one_cycle(self, done: float) -> float:
        """Return the part of the peak when a part of the training, 0 to 1, is done."""
        warm_up, start, end = self.schedule["warm_up"], self.schedule["start"], self.schedule["end"]
        if done < warm_up:
            return float(start + (1 - start) * done / warm_up)
        return float(1 + (end - 1) * (done - warm_up) / (1 - warm_up))
