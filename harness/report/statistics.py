"""What runs at several seeds can tell: spread, paired differences, exact tests. docs/statistics.md explains each.

Numbers alone, no tables: `compare` applies them to the rows of a table. Differences are paired by seed, because two
trials at one seed see the same batches and start from the same weights where they have the same layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from harness.report.exact import signs_at_least

LEVEL = 0.95
ALPHA = 0.05
DIGITS = 9  # differences are taken as equal where they agree to so many decimals: far below one image of any test set


@dataclass(frozen=True)
class Difference:
    """A row's values minus those of the row that it stands against, paired by seed, in the column's unit.

    nan where a run of a pair is nan.
    """

    seeds: tuple[int, ...]  # that both have
    mean: float
    sd: float | None  # the sample standard deviation of the differences; None of one
    low_95: float | None  # the two-sided 95 % confidence interval of the mean by Student's t; None of one
    high_95: float | None
    p: float  # two-sided exact sign-flip test
    smallest_p: float  # that so many seeds could ever give
    p_holm: float  # after Holm's correction
    tests: int  # over which Holm's correction is


@dataclass(frozen=True)
class McNemar:
    """Two single networks, image by image: McNemar's exact test."""

    seed: int
    against_seed: int
    only_this: int  # images that only this row's network has right
    only_against: int  # images that only the other one has right
    p: float  # two-sided


@dataclass(frozen=True)
class Statistics:
    """What stands beside a row's metric: spread over the stated seeds, and the comparison with another row."""

    seeds: tuple[int, ...]  # with a stored value; nan counts
    mean: float
    sd: float | None  # sample standard deviation; None of one run
    against: str | None  # the row that this one is compared with; None for the row that has none
    difference: Difference | None = None
    mcnemar: McNemar | None = None  # of the pair that the table shows
    mcnemar_by_seed: tuple[McNemar, ...] = ()
    note: str | None = None  # why something is missing


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
