"""The numbers behind the paper's figures, one per run, as `claims.yml` defines them.

Fig. 4: area under the curve, steps to an accuracy, deviation of successive differences. Fig. 6: activations over the
last epoch. Fig. 5: total variation of the maps, and linear centred kernel alignment (Kornblith et al., 2019) of two
networks' maps.
"""

import math
from itertools import pairwise

import numpy as np

from harness.report.figures.results import Array, Series


def area(series: Series) -> float:
    """Return the mean over all steps observed."""
    return math.fsum(series.values) / len(series)


def steps_to(series: Series, value: float, interval: int = 100) -> int:
    """Return the first step with `value` or more; the last step + `interval` where it is never reached."""
    reached = (step for step, v in zip(series.steps, series.values, strict=True) if v >= value)
    return next(reached, series.steps[-1] + interval)


def successive_deviation(series: Series, after: int) -> float:
    """Return the standard deviation of the differences of successive points after step `after`; nan with under three.

    The deviation is the sample's, of differences both of whose ends lie after `after`.
    """
    late = [v for step, v in zip(series.steps, series.values, strict=True) if step > after]
    steps = [b - a for a, b in pairwise(late)]
    return float(np.std(steps, ddof=1)) if len(steps) > 1 else math.nan


def late_mean(series: Series, after: int) -> float:
    """Return the mean of the values after step `after`; nan if there is none."""
    late = [v for step, v in zip(series.steps, series.values, strict=True) if step > after]
    return math.fsum(late) / len(late) if late else math.nan


def total_variation(maps: Array) -> float:
    """Return how rough maps (n, C, H, W) are: the mean absolute difference of neighbouring pixels, right and below,
    over the map's standard deviation; mean of all maps, those that are constant left out. nan if all are.
    """
    across = np.abs(np.diff(maps, axis=3)).mean(axis=(2, 3))  # (n, C)
    down = np.abs(np.diff(maps, axis=2)).mean(axis=(2, 3))
    deviation = maps.std(axis=(2, 3))
    alive = deviation > 0
    rough = (across + down)[alive] / 2 / deviation[alive]
    return float(rough.mean()) if alive.any() else math.nan


def similarity(one: Array, other: Array) -> float:
    """Return the linear CKA of two networks' maps (n, C, H, W) and (n, C', H, W) of the same images: pixels are
    samples, channels features; mean over the images, 0 to 1. nan if no image has maps that vary in both.
    """
    values = [_cka(_pixels(a), _pixels(b)) for a, b in zip(one, other, strict=True)]
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _pixels(maps: Array) -> Array:
    flat = maps.reshape(len(maps), -1).T  # (C, H, W) -> (H·W, C)
    centred: Array = flat - flat.mean(axis=0)
    return centred


def _cka(x: Array, y: Array) -> float:
    """Return ||yᵀx||² / (||xᵀx|| ||yᵀy||) of centred x (p, C) and y (p, C')."""
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / scale) if scale > 0 else math.nan
