"""What reading a person's own data gives, whatever form they have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.base.errors import HarnessError
from harness.data.dataset import Hashed
from harness.data.own.normalization import Pair, measured

SMALLEST = 10  # training images; with fewer, a tenth of them for validation is none


@dataclass(frozen=True)
class Contents:
    """The splits `train` and `test` in canonical order, and what is worth telling about them."""

    splits: Mapping[str, Hashed]
    classes: tuple[str, ...]  # by label
    corrupt: tuple[str, ...] = ()  # files that could not be read and were left out, each with the reason
    notes: tuple[str, ...] = ()  # what else was left out

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image: C, H, W."""
        _, channels, height, width = self.splits["train"].arrays.images.shape
        return channels, height, width

    def normalization(self) -> Pair:
        """Return mean and deviation of the training images."""
        return measured(self.splits["train"].arrays.images)


def check_contents(contents: Contents, place: object) -> None:
    """Raise HarnessError where nobody could train on this: too few images or classes, or a class without images."""
    count = len(contents.splits["train"].hashes)
    if len(contents.classes) < 2:
        raise HarnessError(f"{place} has images of one class only: at least two are needed")
    if count < SMALLEST:
        raise HarnessError(f"{place} has {count} training images: at least {SMALLEST} are needed")
    if not contents.splits["test"].hashes:
        raise HarnessError(f"{place} has no test images")
    of_each = np.bincount(contents.splits["train"].arrays.labels, minlength=len(contents.classes))
    if not of_each.all():
        name = contents.classes[int(of_each.argmin())]
        raise HarnessError(f"{place} has no training images of the class '{name}'")


@dataclass(frozen=True)
class Found:
    """Own data as they lie there, not read yet.

    `state` changes with them; it is None where nobody can tell without reading.
    """

    state: str | None
    read: Callable[[], Contents]
    dear: bool  # whether reading takes so long that what was read is kept
