"""What reading a person's own data gives, whatever form they have: splits, and the mean and deviation of training.

A test split that is taken out of one set is of each class the first part in canonical order, the same wherever it is
done. Mean and deviation are counted exactly.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.dataset import Hashed

Pair = tuple[tuple[float, ...], tuple[float, ...]]

_DIGITS = 4  # of a mean and a deviation
_AT_ONCE = 2**20  # values that are counted at once; numpy needs eight bytes for each
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
    """Raise HarnessError if nobody could train on this: too few images or classes, or a class without images."""
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
class Unread:
    """Own data as they lie there, not read yet.

    `state` changes with them; it is None if nobody can tell without reading.
    """

    state: str | None
    read: Callable[[], Contents]
    cacheable: bool  # reading is slow enough that what was read is cached


def take_test(images: Hashed, part: float, classes: tuple[str, ...]) -> dict[str, Hashed]:
    """Return `train` and `test`: of each class's n images the first ⌊n·part⌋ in canonical order are the test split.

    `part` is taken as the decimal number that it is written as. Raises FieldError if a class would have none there.
    """
    ordered = images.in_order()
    labels = ordered.arrays.labels.tolist()
    members: list[list[int]] = [[] for _ in classes]
    for place, label in enumerate(labels):
        members[label].append(place)
    test: set[int] = set()
    for name, places in zip(classes, members, strict=True):
        count = int(len(places) * Fraction(str(part)))
        if places and not count:
            raise FieldError(("test",), f"test: {part} takes none of the {len(places)} images of the class '{name}'")
        test.update(places[:count])
    rest = [place for place in range(len(labels)) if place not in test]
    return {"train": ordered.part(rest), "test": ordered.part(sorted(test))}


def measured(images: NDArray[np.uint8]) -> Pair:
    """Return mean and deviation of value/255 in each channel of images uint8 (N, C, H, W), to four digits.

    The deviation is that of all values (not the unbiased estimate), and at least 0.0001, so that one can divide by it.
    """
    counts = Counts(images.shape[1])
    step = max(1, _AT_ONCE // max(1, images[0].size))
    for start in range(0, len(images), step):
        counts.add(images[start : start + step].transpose(0, 2, 3, 1))
    return counts.normalization()


class Counts:
    """How often each of the 256 values occurs in each channel of images that are added a few at a time."""

    def __init__(self, channels: int) -> None:
        self._counts = np.zeros((channels, 256), np.int64)

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Count pixels uint8 (…, C)."""
        for channel in range(len(self._counts)):
            self._counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)

    def normalization(self) -> Pair:
        """Return mean and deviation of value/255 in each channel, as `measured` does."""
        both = [_mean_and_deviation(row.tolist()) for row in self._counts]
        return tuple(mean for mean, _ in both), tuple(deviation for _, deviation in both)


def _mean_and_deviation(counts: list[int]) -> tuple[float, float]:
    """Return mean and deviation of value/255 from how often each of the 256 values occurs."""
    total = sum(counts)
    mean = Fraction(sum(value * n for value, n in enumerate(counts)), total)
    variance = Fraction(sum(value * value * n for value, n in enumerate(counts)), total) - mean * mean
    return round(float(mean / 255), _DIGITS), max(round(math.sqrt(variance) / 255, _DIGITS), 10.0**-_DIGITS)
