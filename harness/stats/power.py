"""How many seeds a claim takes, before any has run: the power of one-sided sign flips of normal gaps, in units of their
standard deviation.

Whether a test rejects is decided by a shift. The flips of gaps z + δ whose sum is at least that of z + δ as it is are
those whose flipped subset has a mean of at most -δ in z; so p ≤ k/2ⁿ if and only if δ exceeds the k-th largest of minus
the means of all non-empty subsets of z (Hartigan's typical values, 1969). For each draw of z that shift is found once,
and gives the power at every effect. All subsets are counted up to `COUNTED` seeds; beyond, the test is as good as
Student's, whose power is the noncentral t distribution.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.stats.tests import ALPHA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POWER = 0.8
DRAWS = 10_000
COUNTED = 12
MOST_SEEDS = 200
_AT_ONCE = 500  # draws whose subsets are held at once


@dataclass(frozen=True)
class Test:
    """A one-sided sign-flip test of one claim, as Holm's first step has it: against alpha by the number of tests."""

    tests: int = 1
    alpha: float = ALPHA

    def critical(self, n: int) -> int:
        """Return how many of the 2ⁿ flips may be as extreme for it to reject (p < alpha/tests); 0 if it never can."""
        return math.ceil(2**n * self.alpha / self.tests) - 1 if n else 0

    @property
    def least(self) -> int:
        """The number of seeds from which it can reject at all."""
        return next(n for n in range(1, 1000) if self.critical(n))


def power(n: int, effect: float, test: Test, needed: float = 0.0) -> float:
    """Return the chance that n gaps are shown to be above zero, and have a mean of at least `needed`.

    Their true mean is `effect`; both are in standard deviations of a gap.
    """
    if n < 2 or not test.critical(n):
        return 0.0
    if n > COUNTED:
        return _student(n, effect, test, needed)
    shifts, means = _draws(n, test.critical(n))
    return float(((shifts < effect) & (means + effect >= needed)).mean())


def smallest_effect(n: int, test: Test, needed: float = 0.0, wanted: float = POWER) -> float | None:
    """Return the least effect, in standard deviations, that n seeds show with so much power; None if no effect is."""
    if n < 2 or not test.critical(n):
        return None
    low, high = 0.0, 1.0
    while power(n, high, test, needed) < wanted:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if power(n, middle, test, needed) >= wanted else (middle, high)
    return high


def seeds_for(effect: float, test: Test, wanted: float = POWER) -> int | None:
    """Return the least number of seeds that tells an effect from none with so much power; None if more than
    `MOST_SEEDS`.
    """
    near = (n for n in range(test.least, MOST_SEEDS + 1) if n > COUNTED or _student(n, effect, test, 0) > wanted - 0.15)
    return next((n for n in near if power(n, effect, test) >= wanted), None)


@lru_cache(maxsize=64)
def _draws(n: int, critical: int) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Return, for each draw of n normal gaps, the shift from which the test rejects, and their mean."""
    import numpy as np

    draw = np.random.default_rng(n)
    members = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1  # (2ⁿ - 1, n): every subset but the empty one
    average = (members / members.sum(axis=1, keepdims=True)).T.astype(np.float32)  # (n, 2ⁿ - 1)
    shifts, means = [], []
    for _ in range(DRAWS // _AT_ONCE):
        gaps = draw.standard_normal((_AT_ONCE, n)).astype(np.float32)
        typical = -(gaps @ average)  # (draws, 2ⁿ - 1)
        place = typical.shape[1] - critical
        shifts.append(np.partition(typical, place, axis=1)[:, place])
        means.append(gaps.mean(axis=1))
    return np.concatenate(shifts).astype(np.float64), np.concatenate(means).astype(np.float64)


def _student(n: int, effect: float, test: Test, needed: float) -> float:
    """Return the power of the one-sided t test; a mean that is `needed` too takes draws of mean and deviation."""
    from scipy.special import nctdtr, stdtrit

    bound = float(stdtrit(n - 1, 1 - test.alpha / test.tests))
    if needed <= 0:
        return 1 - float(nctdtr(n - 1, effect * math.sqrt(n), bound))
    means, deviations = _moments(n)
    return float(((means + effect >= needed) & ((means + effect) * math.sqrt(n) > bound * deviations)).mean())


@lru_cache(maxsize=256)
def _moments(n: int) -> tuple[Any, Any]:
    import numpy as np

    gaps = np.random.default_rng(n).standard_normal((DRAWS, n))
    return gaps.mean(axis=1), gaps.std(axis=1, ddof=1)
