"""Methods over many data sets, by all of their runs: interquartile mean, performance profile, probability of
improvement, with intervals by a bootstrap that draws the runs of each data set again.

Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep reinforcement learning at the edge of the statistical
precipice", NeurIPS 2021. The interval is over seeds: it says where other runs on *these* data sets would lie, nothing
of other data sets. Scores of all data sets are taken as they are, on one scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.stats.tests import LEVEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 2_000
"""Resamples of an interval, as many as its authors take."""
_AT_ONCE = 4_000_000
_SEED = 0

Runs = Sequence[Sequence[float]]
"""The scores of a method: by data set, then run; each data set may have another number of runs."""


@dataclass(frozen=True)
class Estimate:
    """A number with its two-sided 95 % interval by the stratified bootstrap; None if no data set has two runs."""

    value: float
    low_95: float | None
    high_95: float | None


def interquartile_mean(runs: Runs, draws: int = DRAWS) -> Estimate:
    """Return the mean of the middle half of all runs: cut off are a quarter of them, rounded down, at both ends."""

    def trimmed(scores: "Floats") -> "Floats":
        cut = scores.shape[1] // 4
        middle: Floats = _sorted(scores)[:, cut : scores.shape[1] - cut].mean(axis=1)
        return middle

    return _estimate(trimmed, runs, draws)


def mean_over_datasets(runs: Runs, draws: int = DRAWS) -> Estimate:
    """Return the mean over data sets of the mean over runs."""
    import numpy as np

    weights = np.concatenate([np.full(len(of), 1 / len(of)) for of in runs]) / len(runs)
    return _estimate(lambda scores: scores @ weights, runs, draws)


def profile(runs: Runs, thresholds: Sequence[float], draws: int = DRAWS) -> list[Estimate]:
    """Return the share of runs with a score above each threshold."""
    return [_estimate(lambda scores, at=at: (scores > at).mean(axis=1), runs, draws) for at in thresholds]  # type: ignore[misc]


def probability_of_improvement(a: Runs, b: Runs, *, lower_is_better: bool = False, draws: int = DRAWS) -> Estimate:
    """Return how probable it is that a run of B is better than one of A on a data set drawn at random; a tie is half.

    Data set by data set Mann and Whitney's U over its largest value, then their mean. Raises ValueError unless both
    have the same data sets.
    """
    import numpy as np

    if len(a) != len(b):
        raise ValueError("both need the same data sets")
    sign = -1.0 if lower_is_better else 1.0
    counts = [[len(of) for of in side] for side in (a, b)]

    def improved(scores: "Floats") -> "Floats":
        total = np.zeros(len(scores))
        start_a, start_b = 0, sum(counts[0])
        for size_a, size_b in zip(*counts, strict=True):
            mine = scores[:, start_a : start_a + size_a, None]
            theirs = scores[:, None, start_b : start_b + size_b]
            total += ((theirs > mine) + 0.5 * (theirs == mine)).mean(axis=(1, 2))
            start_a, start_b = start_a + size_a, start_b + size_b
        return total / len(a)

    return _estimate(improved, [[sign * value for value in of] for of in (*a, *b)], draws)


def _sorted(scores: "Floats") -> "Floats":
    import numpy as np

    return np.sort(scores, axis=1)


def _estimate(statistic: "Callable[[Floats], Floats]", runs: Runs, draws: int) -> Estimate:
    """Return a statistic with its percentile interval; it takes rows of all runs, one data set after the other."""
    import numpy as np

    strata = [np.asarray(of, dtype=np.float64) for of in runs]
    value = float(statistic(np.concatenate(strata)[None, :])[0])
    if max(map(len, strata)) < 2:
        return Estimate(value, None, None)
    generator = np.random.RandomState(_SEED)  # whose numbers no version of numpy changes
    found = []
    step = max(1, _AT_ONCE // sum(map(len, strata)))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = [of[generator.randint(len(of), size=(rows, len(of)))] for of in strata]
        found.append(statistic(np.concatenate(drawn, axis=1)))
    low, high = np.percentile(np.concatenate(found), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(low), float(high))
