"""Methods over many data sets, by their ranks: the data set is the unit, its score the mean over the seeds.

Which tests, and why: Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, 2006. Friedman's
test asks whether the methods differ at all, from the null that on each data set every order of its ranks is equally
likely; Nemenyi's critical difference is how far apart two mean ranks must be; Wilcoxon's signed ranks compare two
methods, whatever the others are (Benavoli, Corani and Mangili, JMLR 17, 2016, on why that has the last word).

Friedman's and Wilcoxon's p are exact, ties included, and drawn at random if there are too many orders to count;
Nemenyi's holds for many data sets only.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from harness.stats.permutation import doubled_midranks
from harness.stats.tests import (
    ALPHA,
    DRAWS,
    draw_error,
    draws,
    gap,
    holm,
    sign_flip,
    smallest_p,
    without_rounding_noise,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

_COUNTED_METHODS = 5  # of so many at most all orders may be counted: 120 for each data set
_COUNTED_SUMS = 2_000_000  # rank sums after one more data set, at most
_SEED = 0


@dataclass(frozen=True)
class Friedman:
    """Do the methods differ at all? `p` is exact, or of random orders; the others are approximations of many data
    sets, as other packages print them.
    """

    p: float
    smallest_p: float  # that so many data sets and methods can give
    chi2: float
    p_chi2: float  # k - 1 degrees of freedom
    f: float  # Iman and Davenport, 1980; infinite if all data sets agree
    p_f: float
    draws: int | None = None  # None: all orders were counted
    alpha: float = ALPHA

    @property
    def error(self) -> float | None:
        """The Monte-Carlo standard error of p; None of one that was counted."""
        return draw_error(self.p, self.draws)

    @property
    def can_tell(self) -> bool:
        """Whether any outcome on so many data sets could be significant."""
        return self.smallest_p < self.alpha


@dataclass(frozen=True)
class Pair:
    """B against A over data sets: Wilcoxon's signed ranks, two-sided. Indices are of the methods."""

    a: int
    b: int
    wins: int  # data sets on which B is better
    losses: int
    ties: int
    median: float  # of B's scores minus A's
    balance: float  # rank sum of the wins minus that of the losses: its sign says whom the test favours
    p: float
    smallest_p: float  # that the data sets without a tie can give, before the correction
    p_holm: float = math.nan
    smallest_holm: float = 1.0  # after it, the other pairs being what they are
    tests: int = 1
    draws: int | None = None
    alpha: float = ALPHA

    @property
    def can_tell(self) -> bool:
        """Whether any outcome on so many data sets could be significant after the correction."""
        return self.smallest_holm < self.alpha


def mean_ranks(scores: Sequence[Sequence[float]], *, lower_is_better: bool = False) -> list[float]:
    """Return each method's mean rank, 1 the best, equal scores sharing theirs; `scores` by data set, then method."""
    sums = [sum(column) for column in zip(*_doubled(scores, lower_is_better=lower_is_better), strict=True)]
    return [total / (2 * len(scores)) for total in sums]


def _doubled(scores: Sequence[Sequence[float]], *, lower_is_better: bool) -> list[list[int]]:
    """Return twice the rank of each score within its data set; scores that agree to 14 digits are equal."""
    sign = 1 if lower_is_better else -1
    found = []
    for row in scores:
        largest = max(map(abs, row), default=0.0)
        found.append(doubled_midranks([sign * without_rounding_noise(value, largest) for value in row]))
    return found


def friedman(scores: Sequence[Sequence[float]], alpha: float = ALPHA) -> Friedman:
    """Return Friedman's test; `scores` by data set, then method, finite, at least two of each.

    Raises ValueError for fewer.
    """
    import numpy as np
    from scipy.special import chdtrc, fdtrc

    if len(scores) < 2 or len(scores[0]) < 2:
        raise ValueError("Friedman's test needs two data sets and two methods")
    ranks = np.asarray(_doubled(scores, lower_is_better=True), dtype=np.int64)
    n, k = ranks.shape
    squares = float((ranks.sum(axis=0) ** 2).sum()) / 4
    even = n * k * (k + 1) ** 2 / 4
    spread = float((ranks**2).sum()) / 4 - even  # 0 if all methods tie on every data set
    chi2 = 0.0 if spread == 0 else (k - 1) * (squares - n * even) / spread
    rest = n * (k - 1) - chi2
    f = math.inf if rest < 1e-9 else (n - 1) * chi2 / rest
    p, drawn = _order_p(ranks)
    least = math.factorial(k) ** -(n - 1.0) if drawn is None else 1 / (drawn + 1)
    p_f = 0.0 if math.isinf(f) else float(fdtrc(k - 1, (k - 1) * (n - 1), f))
    return Friedman(p, least, chi2, float(chdtrc(k - 1, chi2)), f, p_f, drawn, alpha)


def _order_p(ranks: "Ints") -> tuple[float, int | None]:
    """Return the share of all orders within the data sets whose rank sums lie as far apart, and how many were drawn."""
    import numpy as np

    k = ranks.shape[1]
    seen = int((ranks.sum(axis=0) ** 2).sum())
    counted = _counted_sums(ranks) if k <= _COUNTED_METHODS else None
    if counted is not None:
        sums, share = counted
        return min(1.0, float(share[(sums**2).sum(axis=1) >= seen].sum())), None
    generator = np.random.RandomState(_SEED)  # whose numbers no version of numpy changes
    total = np.tile(ranks[0], (DRAWS, 1))
    for row in ranks[1:]:
        order = generator.random_sample((DRAWS, k)).argsort(axis=1)
        total += row[order]
    return (int(((total**2).sum(axis=1) >= seen).sum()) + 1) / (DRAWS + 1), DRAWS


def _counted_sums(ranks: "Ints") -> "tuple[Ints, NDArray[np.float64]] | None":
    """Return all sorted rank sums with their shares of all orders; None if they become too many.

    Which method has which sum does not matter, so that sums are kept sorted, and data set by data set there are few.
    """
    import numpy as np

    k = ranks.shape[1]
    base = int(ranks.sum()) + 1
    if base**k > 2**62:
        return None
    digits = np.asarray([base**i for i in range(k)], dtype=np.int64)
    sums: Ints = np.sort(ranks[:1], axis=1)
    share: NDArray[np.float64] = np.ones(1)
    for row in ranks[1:]:
        orders = np.asarray(list(itertools.permutations(row.tolist())), dtype=np.int64)
        if len(sums) * len(orders) > _COUNTED_SUMS:
            return None
        each = np.sort((sums[:, None, :] + orders).reshape(-1, k), axis=1)
        keys, first, place = np.unique(each @ digits, return_index=True, return_inverse=True)
        weights = np.repeat(share / len(orders), len(orders))
        sums = each[first]
        share = np.bincount(place.ravel(), weights=weights, minlength=len(keys)).astype(np.float64)
    return sums, share


def critical_difference(methods: int, datasets: int, alpha: float = ALPHA) -> float:
    """Return how far apart two mean ranks must be by Nemenyi's test: q √(k (k + 1) / 6 N)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - alpha, methods, math.inf)) / math.sqrt(2)
    return q * _rank_error(methods, datasets)


def nemenyi_p(difference: float, methods: int, datasets: int) -> float:
    """Return Nemenyi's p of two mean ranks so far apart, already corrected for all pairs."""
    from scipy.stats import studentized_range

    reach = abs(difference) / _rank_error(methods, datasets) * math.sqrt(2)
    return float(studentized_range.sf(reach, methods, math.inf))


def _rank_error(methods: int, datasets: int) -> float:
    return math.sqrt(methods * (methods + 1) / (6 * datasets))


def cliques(ranks: Sequence[float], reach: float) -> list[tuple[int, ...]]:
    """Return the largest groups of methods whose mean ranks all lie less than `reach` apart, best first; indices."""
    order = sorted(range(len(ranks)), key=lambda i: (ranks[i], i))
    found: list[tuple[int, ...]] = []
    for start in range(len(order)):
        group = tuple(i for i in order[start:] if ranks[i] - ranks[order[start]] < reach)
        if len(group) > 1 and not (found and set(group) <= set(found[-1])):
            found.append(group)
    return found


def signed_ranks(
    scores: Sequence[Sequence[float]],
    pairs: Sequence[tuple[int, int]],
    *,
    lower_is_better: bool = False,
    alpha: float = ALPHA,
) -> list[Pair]:
    """Return Wilcoxon's test of B against A for each pair (a, b) of methods, with Holm's correction over all of them.

    `scores` by data set, then method, finite. Data sets on which two methods tie are left out of their test, as
    Wilcoxon has it; equal differences share their ranks, and p is exact all the same: all signs of the ranks count.
    """
    found = [_pair(scores, a, b, len(pairs), lower_is_better=lower_is_better, alpha=alpha) for a, b in pairs]
    ps = [pair.p for pair in found]
    least = [holm([*ps[:i], pair.smallest_p, *ps[i + 1 :]])[i] for i, pair in enumerate(found)]
    return [
        replace(pair, p_holm=p, smallest_holm=smallest)
        for pair, p, smallest in zip(found, holm(ps), least, strict=True)
    ]


def _pair(
    scores: Sequence[Sequence[float]], a: int, b: int, tests: int, *, lower_is_better: bool, alpha: float
) -> Pair:
    gaps = [gap(row[b], row[a]) for row in scores]
    left = [each for each in gaps if each]
    wins = sum((each < 0) is lower_is_better for each in left)
    ranks = doubled_midranks([abs(each) for each in left])
    signed = [rank if each > 0 else -rank for rank, each in zip(ranks, left, strict=True)]
    return Pair(
        a=a,
        b=b,
        wins=wins,
        losses=len(left) - wins,
        ties=len(gaps) - len(left),
        median=median(gaps),
        balance=(-1 if lower_is_better else 1) * sum(signed) / 2,
        p=sign_flip(signed, tests, alpha) if left else 1.0,
        smallest_p=smallest_p(len(left), tests=tests, alpha=alpha) if left else 1.0,
        tests=tests,
        draws=draws(len(left), tests, alpha),
        alpha=alpha,
    )


def datasets_needed(tests: int, alpha: float = ALPHA) -> int:
    """Return the fewest data sets with which a pair could be significant after Holm over so many tests."""
    return next(n for n in itertools.count(1) if tests * smallest_p(n, tests=tests, alpha=alpha) < alpha)
