"""What is asked of a task whose trials may be models that are never trained: to evaluate them part by part.

Such a model may take seconds per image. So its evaluation is kept part by part, and one that is stopped or killed
resumes after the last part, with the same numbers as an undisturbed one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import nn

from harness.attempt.messages import EvaluationSpec
from harness.tasks.base import Evaluated, Task

ByItem = Mapping[str, NDArray[Any]]
"""Values by name, one per item: (N,)."""


class TaskInParts(Task, Protocol):
    """A task that is also made for a configuration without `protocol`, and without training data.

    It then has no examples, and `observed` is set by whoever makes it.
    """

    def parts(self, model: nn.Module, on: EvaluationSpec, start: int) -> Iterator[ByItem]:
        """Evaluate a model on the items of a split from number `start` on, in canonical order, a few at a time.

        Each part has all values of its items in full precision. They do not depend on `start`, as long as a part of an
        earlier call ended there.
        """

    def joined(self, on: EvaluationSpec, by_item: ByItem) -> Evaluated:
        """Return the evaluation that the values of all items make."""
