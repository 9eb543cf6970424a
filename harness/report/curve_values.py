"""What the paper reads off its curves, as a number a run: `paper/claims.yml` says of each quantity what it is."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, pstdev

Curve = Sequence[tuple[int, float]]  # (step, value), steps rising


def steps_to(curve: Curve, level: float = 0.97) -> float:
    """Return the first step with at least `level`; where none has, the last step + 100."""
    return next((float(step) for step, value in curve if value >= level), curve[-1][0] + 100.0)


def area(curve: Curve) -> float:
    """Return the mean over all steps observed."""
    return fmean(value for _, value in curve)


def successive_deviation(curve: Curve, epochs: int) -> float:
    """Return the standard deviation of successive differences after the first epoch; nan of fewer than three points."""
    first = curve[-1][0] / epochs
    late = [value for step, value in curve if step >= first]
    gaps = [after - before for before, after in pairwise(late)]
    return pstdev(gaps) if len(gaps) > 1 else math.nan


def last_epoch(curve: Curve, epochs: int) -> float:
    """Return the mean over the steps of the last epoch."""
    start = curve[-1][0] * (epochs - 1) / epochs
    return fmean(value for step, value in curve if step > start)


QUANTITIES: Mapping[str, Callable[[Curve, int], float]] = {
    "steps to 97%": lambda curve, _: steps_to(curve),
    "area under the curve": lambda curve, _: area(curve),
    "successive deviation": successive_deviation,
    "hidden mean": last_epoch,
    "hidden variance": last_epoch,
}
