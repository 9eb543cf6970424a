"""Statistics of runs and of networks. docs/statistics.md explains each.

"These two methods differ" is about seeds: `sign_flip`, `mann_whitney`, `interval`, `bootstrap`. "These two networks
differ" is about the images of one test set: `mcnemar`, `paired_bootstrap`, `binomial_error`. None of the one stands for
the other. Tests by permutation are in `permutation`, scipy does the rest. `comparison` applies them. What counts as
equal follows from the data: a metric of 1e-12 is treated like one of 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from harness.stats.permutation import COUNTED_FLIPS, counts_ranks, flips, rank_sum

LEVEL = 0.95
ALPHA = 0.05
DIGITS = 14  # significant digits of the largest value; beyond them a float holds little but its own rounding
RESAMPLES = 9_999
DRAWS = 9_999  # of a permutation test that is not counted, at least
_DRAWS_PER_TEST = 20  # times the number of tests over alpha: the smallest p, corrected, is a twentieth of alpha
_AT_ONCE = 4_000_000  # values of all resamples that are held at once


@dataclass(frozen=True)
class Test:
    """The outcome of a permutation test, with what it could have told at most."""

    p: float
    smallest_p: float  # that so many runs can give, whatever they show
    alpha: float = ALPHA
    draws: int | None = None  # at random, of all permutations; None: all were counted

    @property
    def error(self) -> float | None:
        """The Monte-Carlo standard error of p; None of one that was counted."""
        return draw_error(self.p, self.draws)

    @property
    def can_tell(self) -> bool:
        """Whether any outcome of so many runs could be significant."""
        return self.smallest_p < self.alpha

    def __str__(self) -> str:
        """Return p, or "too few runs to tell" with the smallest p that was attainable."""
        if not self.can_tell:
            return f"too few runs to tell (smallest attainable p {self.smallest_p:.2g})"
        error = "" if self.error is None else f" ± {self.error:.1g}"
        drawn = "" if self.draws is None else f"; {self.draws:,} draws"
        return f"p {self.p:.2g}{error} (smallest attainable {self.smallest_p:.2g}{drawn})"


@dataclass(frozen=True)
class BestOf:
    """The best of some runs, and how far above one run's expectation the best of k lies by being chosen."""

    best: float
    mean: float
    expected_best: float  # of k of these runs, drawn without replacement
    k: int

    @property
    def bias(self) -> float:
        """Expected best of k minus the mean: what choosing alone adds."""
        return self.expected_best - self.mean


def without_rounding_noise(value: float, scale: float) -> float:
    """Return a number without the rounding of floats: to `DIGITS` significant digits of `scale`, the largest value
    that it was made of; nan and infinities as they are.
    """
    if not math.isfinite(value) or not math.isfinite(scale) or scale == 0:
        return value
    return round(value, DIGITS - 1 - math.floor(math.log10(abs(scale)))) + 0.0  # -0.0 is 0


def gap(one: float, other: float) -> float:
    """Return one value minus another: 0.0004 of 0.9787 and 0.9783, and 0 of 0.1 + 0.2 and 0.3."""
    return without_rounding_noise(one - other, max(abs(one), abs(other)))


def mean(values: Sequence[float]) -> float:
    """Return the mean, `without_rounding_noise`; nan if a value is nan."""
    return without_rounding_noise(fmean(values), _scale(values))


def deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1), None of fewer than two values, nan if one is nan."""
    if len(values) < 2:
        return None
    return without_rounding_noise(stdev(values), _scale(values)) if all(map(math.isfinite, values)) else math.nan


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the two-sided 95 % confidence interval of the mean by Student's t with n - 1 degrees of freedom.

    None of fewer than two values; nan if one is nan. It takes the values as drawn from a normal distribution.
    """
    if len(values) < 2:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan
    from scipy.special import stdtrit

    middle, n, scale = fmean(values), len(values), _scale(values)
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * stdev(values) / math.sqrt(n)
    return without_rounding_noise(middle - reach, scale), without_rounding_noise(middle + reach, scale)


def _scale(values: Sequence[float]) -> float:
    return max(map(abs, values), default=0.0)


def draws(n: int, tests: int = 1, alpha: float = ALPHA) -> int | None:
    """Return how many choices of signs a sign-flip test of n differences draws, in a family of so many tests.

    None if it counts all of them. It is enough for the smallest p to be far below `alpha` after Holm's correction.
    """
    return None if n <= COUNTED_FLIPS else _enough_draws(tests, alpha)


def _enough_draws(tests: int, alpha: float) -> int:
    return max(DRAWS, math.ceil(_DRAWS_PER_TEST * tests / alpha))


def draw_error(p: float, draws: int | None) -> float | None:
    """Return the Monte-Carlo standard error of a p that so many draws gave; None if all was counted."""
    return None if draws is None else math.sqrt(p * (1 - p) / (draws + 1))


def sign_flip(differences: Sequence[float], tests: int = 1, alpha: float = ALPHA) -> float:
    """Return the two-sided p of the sign-flip test: no difference means that each could as well be its negative.

    The share of all 2^n choices of signs whose sum is at least as far from zero as that of the differences as they
    are. `tests` is the number of tests in its family, which `draws` depends on. nan if a difference is nan.
    """
    return _flipped(differences, 2, tests, alpha)


def one_sided(differences: Sequence[float], tests: int = 1, alpha: float = ALPHA) -> float:
    """Return the share of all 2^n sign flips whose sum is at least that of the differences; as `sign_flip` else."""
    return _flipped(differences, 1, tests, alpha)


def _flipped(differences: Sequence[float], sides: int, tests: int, alpha: float) -> float:
    if not all(map(math.isfinite, differences)):
        return math.nan
    return flips(differences, sides, draws(len(differences), tests, alpha))


def smallest_p(n: int, sides: int = 2, tests: int = 1, alpha: float = ALPHA) -> float:
    """Return the smallest p that a sign-flip test of n differences can give, in a family of so many tests.

    Of two sides 2 of 2^n choices, at most 1, of one side 1; of a test that draws, no draw but the differences as they
    are.
    """
    drawn = draws(n, tests, alpha)
    return min(1.0, sides * 2.0**-n) if drawn is None else 1 / (drawn + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p of each: step down from the smallest, p times the number of those left, at most 1.

    A nan is not a test: it stays nan and does not count.
    """
    order = sorted((p, i) for i, p in enumerate(ps) if not math.isnan(p))
    adjusted = [math.nan] * len(ps)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[i] = highest
    return adjusted


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the two-sided p of McNemar's exact test: a fair coin for each image that just one of the two has right.

    Twice the smaller tail of the binomial distribution, at most 1; 1 if no image tells them apart.
    """
    n = only_one + only_other
    tail = ways = 1  # in which none of the n images, then one, then two … fall to the smaller side
    for k in range(min(only_one, only_other)):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / int(2**n))


def best_of(values: Sequence[float], k: int) -> BestOf:
    """Return the best (largest) of the values beside the mean over all choices of k of them of their maximum.

    That is an unbiased estimate of what the best of k runs is expected to be: with x sorted and n values, x_i is the
    largest of C(i - 1, k - 1) of the C(n, k) choices. Give the negatives where lower is better. Raises ValueError for
    fewer than k values or k < 1.
    """
    if not 1 <= k <= len(values):
        raise ValueError(f"the best of {k} needs as many values, not {len(values)}")
    ordered, n = sorted(values), len(values)
    largest = math.fsum(math.comb(i, k - 1) * value for i, value in enumerate(ordered))
    return BestOf(ordered[-1], math.fsum(ordered) / n, largest / math.comb(n, k), k)


FEWEST_IMAGES = 6
"""The fewest images for which an interval is given."""


def bootstrap(
    values: Sequence[float], seed: int = 0, statistic: Callable[[Sequence[float]], float] | None = None
) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of the mean, or of another statistic; None of one value.

    The same for the same seed. Of few values it is too narrow: n values give no resample beyond their own range.
    """
    import numpy as np
    from scipy.stats import bootstrap as resample

    if len(values) < 2:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan
    found = resample(
        (np.asarray(values),),
        np.mean if statistic is None else statistic,
        confidence_level=LEVEL,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=statistic is None,
        batch=max(1, _AT_ONCE // len(values)),
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def paired(differences: Sequence[float], tests: int = 1, alpha: float = ALPHA) -> Test:
    """Return the two-sided sign-flip test of paired differences over seeds, in a family of so many tests."""
    n = len(differences)
    p, least = sign_flip(differences, tests, alpha), smallest_p(n, tests=tests, alpha=alpha)
    return Test(p, least, alpha, draws(n, tests, alpha))


def mann_whitney(one: Sequence[float], other: Sequence[float], alpha: float = ALPHA) -> Test:
    """Return the two-sided Mann-Whitney test of runs that share no seeds, ties included.

    All ways to share the values out are counted, of too many some drawn. No p is below 2 / C(n + m, n).
    """
    ways = math.comb(len(one) + len(other), len(one))
    drawn = None if counts_ranks(len(one), len(other)) else _enough_draws(1, alpha)
    whole = all(map(math.isfinite, [*one, *other]))
    least = 2 / ways if drawn is None else 2 / (drawn + 1)
    return Test(rank_sum(one, other, drawn) if whole else math.nan, min(1.0, least), alpha, drawn)


def binomial_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy (0 to 1) on so many test images: sqrt(a (1 - a) / n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def crossed_bootstrap(
    one: Sequence[Sequence[float]], other: Sequence[Sequence[float]], seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean difference of two methods, one minus other, over seeds and images.

    A row per run, a value per image in it, the same images in all. Images are drawn with replacement for both methods
    together, runs for each by itself; of a method without seeds there is one run, which stays. None of fewer than
    `FEWEST_IMAGES`, nan for values that are not finite. Raises ValueError if rows are of other images. Source: Owen,
    "The pigeonhole bootstrap", 2007.
    """
    import numpy as np

    sides = [np.asarray(side, dtype=np.float64) for side in (one, other)]
    if any(side.ndim != 2 or side.shape[1] != sides[0].shape[1] for side in sides):
        raise ValueError("the runs are not of the same images")
    images = sides[0].shape[1]
    if images < FEWEST_IMAGES:
        return None
    if not all(np.isfinite(side).all() for side in sides):
        return math.nan, math.nan
    draw = np.random.default_rng(seed)

    def resampled() -> float:
        counts = np.bincount(draw.integers(images, size=images), minlength=images)
        mine, theirs = (drawn_of(side @ counts) for side in sides)
        return float((mine - theirs) / images)

    def drawn_of(of_runs: Any) -> float:
        chosen = draw.integers(len(of_runs), size=len(of_runs)) if len(of_runs) > 1 else [0]
        return float(of_runs[chosen].mean())

    low, high = np.quantile([resampled() for _ in range(RESAMPLES)], ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def paired_bootstrap(one: Sequence[float], other: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean difference of two single networks over the same images, resampled.

    One value per image of each (right or not, PSNR). It says nothing of other seeds of either method. None of fewer
    than `FEWEST_IMAGES`, whose own range is all that resampling could give. Raises ValueError if they are not of the
    same images.
    """
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    return None if len(gaps) < FEWEST_IMAGES else bootstrap(gaps, seed)
