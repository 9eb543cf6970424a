"""Statistics of runs and of networks. docs/statistics.md explains each.

"These two methods differ" is about seeds: `sign_flip`, `mann_whitney`, `interval`, `bootstrap`. "These two networks
differ" is about the images of one test set: `mcnemar`, `paired_bootstrap`, `binomial_error`. None of the one stands for
the other. What is exact is counted (`exact`), scipy does the rest. `tables.compare` applies them to a table's rows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from harness.report.exact import rank_sum_p, signs_at_least

LEVEL = 0.95
ALPHA = 0.05
DIGITS = 9  # differences are taken as equal where they agree to so many decimals: far below one image of any test set
RESAMPLES = 9_999
_AT_ONCE = 4_000_000  # values of all resamples that are held at once


@dataclass(frozen=True)
class Test:
    """The outcome of an exact test, with what it could have told at most."""

    p: float
    smallest_p: float  # that so many runs can give, whatever they show
    alpha: float = ALPHA

    @property
    def can_tell(self) -> bool:
        """Whether any outcome of so many runs could be significant."""
        return self.smallest_p < self.alpha

    def __str__(self) -> str:
        """Return p, or "too few runs to tell" with the smallest p that was attainable."""
        if not self.can_tell:
            return f"too few runs to tell (smallest attainable p {self.smallest_p:.2g})"
        return f"p {self.p:.2g} (smallest attainable {self.smallest_p:.2g})"


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


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded to `DIGITS` decimals; nan where a value is nan."""
    return round(fmean(values), DIGITS)


def deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1), None of fewer than two values, nan where one is nan."""
    if len(values) < 2:
        return None
    return round(stdev(values), DIGITS) if all(map(math.isfinite, values)) else math.nan


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the two-sided 95 % confidence interval of the mean by Student's t with n - 1 degrees of freedom.

    None of fewer than two values; nan where one is nan. It takes the values as drawn from a normal distribution.
    """
    if len(values) < 2:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan
    from scipy.special import stdtrit

    middle, n = fmean(values), len(values)
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * stdev(values) / math.sqrt(n)
    return round(middle - reach, DIGITS), round(middle + reach, DIGITS)


def sign_flip(differences: Sequence[float]) -> float:
    """Return the two-sided p of the exact sign-flip test: no difference means that each could as well be its negative.

    The share of all 2^n choices of signs whose sum is at least as far from zero as that of the differences as they
    are. Exact: all choices are counted, none drawn, in whole numbers of 10^-9, where n of these are no difference.
    nan where a difference is nan.
    """
    if not all(map(math.isfinite, differences)):
        return math.nan
    whole = [round(value * 10**DIGITS) for value in differences]
    seen = abs(sum(whole)) - len(whole)
    as_far = 2 * signs_at_least(whole, seen) if seen > 0 else 2 ** len(whole)
    return as_far / int(2 ** len(whole))


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p that a sign-flip test of n differences can give: 2 of 2^n choices, at most 1."""
    return min(1.0, 2.0 ** (1 - n))


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p of each: step down from the smallest, p times the number of those left, at most 1.

    A nan is no test: it stays nan and does not count.
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

    Twice the smaller tail of the binomial distribution, at most 1; 1 where no image tells them apart.
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


def normal_bias(k: int) -> float:
    """Return the expected maximum of k standard normal draws: the bias of best-of-k in standard deviations."""
    from scipy.integrate import quad
    from scipy.stats import norm

    if k == 1:
        return 0.0
    return float(quad(lambda x: x * k * norm.pdf(x) * norm.cdf(x) ** (k - 1), -9, 9)[0])


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


def paired(differences: Sequence[float], alpha: float = ALPHA) -> Test:
    """Return the two-sided exact sign-flip test of paired differences over seeds."""
    return Test(sign_flip(differences), smallest_p(len(differences)), alpha)


def paired_above(differences: Sequence[float], bound: float = 0.0, alpha: float = ALPHA) -> Test:
    """Return the one-sided exact sign-flip test that differences lie above `bound`; p no smaller than 2^-n."""
    above = [value - bound for value in differences]
    p = one_sided(above)
    return Test(p, 2.0 ** -len(above), alpha)


def one_sided(differences: Sequence[float]) -> float:
    """Return the share of all 2^n sign flips whose sum is at least that of the differences; nan where one is nan.

    Exact and whole, as of `sign_flip`: a sum that differs by less than n billionths is the same.
    """
    if not all(map(math.isfinite, differences)):
        return math.nan
    whole = [round(value * 10**DIGITS) for value in differences]
    return signs_at_least(whole, sum(whole) - len(whole)) / 2.0 ** len(whole)


def mann_whitney(one: Sequence[float], other: Sequence[float], alpha: float = ALPHA) -> Test:
    """Return the two-sided exact Mann-Whitney test of runs that share no seeds, ties included.

    All ways to share the values out are counted. No p is below 2 / C(n + m, n).
    """
    ways = math.comb(len(one) + len(other), len(one))
    whole = all(map(math.isfinite, [*one, *other]))
    return Test(rank_sum_p(one, other) if whole else math.nan, min(1.0, 2 / ways), alpha)


def binomial_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy (0 to 1) on so many test images: sqrt(a (1 - a) / n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def paired_bootstrap(one: Sequence[float], other: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean difference of two single networks over the same images, resampled.

    One value an image of each (right or not, PSNR). It says nothing of other seeds of either method. Raises
    ValueError where they are not of the same images.
    """
    return bootstrap([a - b for a, b in zip(one, other, strict=True)], seed)
