"""Curves: what is looked at while training, without changing it, and written as it comes.

Every 100 steps: the training loss since the last point, the accuracy on the first 2,000 images of the observed split,
mean and variance of the last hidden layer on the first 1,000. After every epoch: accuracy and loss on all of it. The
observed split is the test set, or the validation split where the trial keeps one out. The time is taken out of the
training time.
"""

from torch import nn

from harness.tasks.classification import OBSERVED_ACCURACY, OBSERVED_HIDDEN, Classification, Evaluated
from harness.training.curve import Curve

OBSERVE_EVERY = 100


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
