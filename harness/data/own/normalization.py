"""The mean and deviation of a training split, by channel, counted exactly."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Pair = tuple[tuple[float, ...], tuple[float, ...]]

DIGITS = 4
_AT_ONCE = 2**20  # values that are counted at once; numpy needs eight bytes for each


def measured(images: NDArray[np.uint8]) -> Pair:
    """Return mean and deviation of value/255 in each channel of images uint8 (N, C, H, W), to four digits.

    The deviation is that of all values (not the unbiased estimate), and at least 0.0001, so that one can divide by it.
    """
    channels = images.shape[1]
    counts = np.zeros((channels, 256), np.int64)
    step = max(1, _AT_ONCE // max(1, images[0].size))
    for start in range(0, len(images), step):
        for channel in range(channels):
            counts[channel] += np.bincount(images[start : start + step, channel].ravel(), minlength=256)
    both = [_mean_and_deviation(row.tolist()) for row in counts]
    return tuple(mean for mean, _ in both), tuple(deviation for _, deviation in both)


def _mean_and_deviation(counts: list[int]) -> tuple[float, float]:
    """Return mean and deviation of value/255 from how often each of the 256 values occurs."""
    total = sum(counts)
    mean = Fraction(sum(value * n for value, n in enumerate(counts)), total)
    variance = Fraction(sum(value * value * n for value, n in enumerate(counts)), total) - mean * mean
    return round(float(mean / 255), DIGITS), max(round(math.sqrt(variance) / 255, DIGITS), 10.0**-DIGITS)
