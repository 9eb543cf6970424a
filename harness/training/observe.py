"""Curves: what is looked at while training, without changing it, and written as it comes.

Every 100 steps: the training loss since the last point, and the task's glimpse of the network (of a classifier, the
accuracy on the first 2,000 images of the observed split, mean and variance of the last hidden layer on the first
1,000). After every epoch: all metrics on all of the observed split, which is the test set, or the validation split if
the trial keeps one out. The time is taken out of the training time.
"""

from torch import nn

from harness.tasks.base import Evaluated, Task
from harness.training.curve import Curve

OBSERVE_EVERY = 100


class Observer:
    """Looks at a network in training and writes what it sees into a curve."""

    def __init__(self, task: Task, curve: Curve) -> None:
        self._task = task
        self._curve = curve

    def observe(self, model: nn.Module, step: int, train_loss: float) -> tuple[str, float] | None:
        """Add the points of every 100th step; return the primary metric as it is seen, if anything is."""
        model.eval()
        seen = self._task.glimpse(model)
        model.train()
        self._curve.add("train", "loss", step, train_loss)
        for split, name, value in seen:
            self._curve.add(split, name, step, value)
        return seen[0][1:] if seen else None

    def epoch(self, model: nn.Module, step: int) -> Evaluated:
        """Add all metrics on the whole observed split after an epoch."""
        model.eval()
        evaluated = self._task.evaluate(model, self._task.observed)
        model.train()
        for name, value in evaluated.metrics.items():
            self._curve.add(self._task.observed.split, name, step, value)
        return evaluated


class Bystander:
    """Looks at nothing: what a process other than the first does while that one observes."""

    def observe(self, model: nn.Module, step: int, train_loss: float) -> None:
        """Add no points."""

    def epoch(self, model: nn.Module, step: int) -> Evaluated:  # noqa: ARG002 - as an observer
        """Find nothing."""
        return Evaluated({})
