"""Sign-flip tests that look several times, after 9, 12, 16 … seeds, and stop when a claim is decided.

Given the sizes of the gaps, their signs are fair coins if the true difference lies on the bound. So at each look all
2ⁿ choices of signs are counted, less those that an earlier look would have stopped at; of these the most extreme cross,
as many as the share of α that may be spent by then allows. What a look leaves unspent, the next one has. The share is

    spent(t, α) = 2 (1 - Φ(z_{α/2} / √t)),    t = seeds so far / seeds at most

which is near zero early and α at the end (Lan and DeMets, 1983, as O'Brien and Fleming's boundary). The chance to cross
at any look is at most α, whatever the gaps' sizes, and whenever one stops for other reasons: for gaps that are
symmetric about their centre and, if that lies beyond the bound, have a single peak.

Boundaries are found for α, α/2, α/3 … together, and none of a smaller α lies below one of a larger: what crosses α/j
crosses all before it. So the largest j that has crossed says all: α/j is the sequential p, and a family of claims is
decided by j alone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeVar

from harness.stats.permutation import flips, signed_sums
from harness.stats.tests import ALPHA, mean, without_rounding_noise
from harness.stats.verdicts import Question, Verdict, verdict_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_SEEDS = 20
"""Up to so many seeds all choices of signs are counted."""
SPENDING = "obrien-fleming"
"""The name of what `Looks.spent` computes."""
_EVERY = 50  # α/1, α/2 … α/50, then fewer
_FEWER = (100, 200, 500, 1000, 2000, 5000, 10_000)
_EQUAL = 1e-9  # sums that lie so small a part of the largest gap apart are equal
_BISECTIONS = 16  # of the range of the gaps, to find an end of an interval
_Name = TypeVar("_Name")


@dataclass(frozen=True)
class Looks:
    """After how many seeds a claim is looked at; the last is the most that it may take."""

    at: tuple[int, ...]
    alpha: float = ALPHA

    def content(self) -> dict[str, Any]:
        """Return all that decides about them, as a claim is stored with it."""
        return {"alpha": self.alpha, "at": list(self.at), "spending": SPENDING}

    def spent(self, n: int, j: int = 1) -> float:
        """Return the share of α/j that may have been spent when n seeds have run."""
        bound = -NormalDist().inv_cdf(self.alpha / j / 2)
        return math.erfc(bound / math.sqrt(2 * n / self.at[-1]))  # 2 (1 - Φ(bound / √t))

    def budget(self, n: int, j: int = 1) -> int:
        """Return how many of the 2ⁿ choices of signs may have crossed by then."""
        return math.floor(self.spent(n, j) * (1 << n))

    def can_decide(self, n: int, tests: int) -> bool:
        """Return whether a look can reject anything in a family of so many claims; `n` may be any number of seeds."""
        before = max((at for at in self.at if at < n), default=0)
        return self.budget(n, tests) > (self.budget(before, tests) * 2 ** (n - before) if before else 0)


def crossed(gaps: Sequence[float], looks: Looks, tests: int = 1, least: int | None = None) -> list[int]:
    """Return, for each look that the gaps reach, the largest j such that α/j has crossed by then; 0 if α has not.

    One-sided: larger gaps speak against the null, that their true mean is at most zero. `tests` is the number of claims
    of the family: all j up to twice as many are told apart. With `least` smaller ones count as 0, and larger ones are
    told apart no further, which saves most of the time. A look at a gap that is nan crosses nothing.
    """
    found: list[int] = []
    for number, n in enumerate(looks.at):
        if n <= len(gaps):
            found.append(max(0, _crosses(tuple(gaps[:n]), looks, number, tests, least), *found[-1:]))
    return found


@lru_cache(maxsize=10_000)
def _crosses(gaps: tuple[float, ...], looks: Looks, number: int, tests: int, least: int | None) -> int:
    """Return the largest j that the look of a number, which has these gaps, crosses by itself."""
    import numpy as np

    n = looks.at[number]
    if not all(map(math.isfinite, gaps)) or sum(gaps) <= 0:
        return 0
    as_extreme = flips(gaps, 1, None) * 2**n
    if as_extreme > looks.budget(n, least or 1):  # too many, even if all that crossed before are among them
        return 0
    levels = _levels(tests, fine=least is None)
    budgets = _budgets(looks, n, levels)
    if not number:
        return max((j for j, most in zip(levels, budgets, strict=True) if as_extreme <= most), default=0)
    sums, state = np.zeros(1), np.zeros(1, dtype=np.int64)
    before = 0
    for at in looks.at[:number]:
        block = signed_sums(gaps[before:at])
        sums = np.add.outer(sums, block).ravel()  # what is seen stays the first
        state = np.repeat(state, block.size)
        state = np.maximum(state, _crossing(sums, state, _budgets(looks, at, levels), _equal(gaps[:at])))
        before = at
    block = signed_sums(gaps[before:])
    wanted = sums[0] + block[0] - _equal(gaps)
    block.sort()
    beyond = block.size - np.searchsorted(block, wanted - sums)  # how many of each beginning are as extreme
    left = np.cumsum(np.bincount(state, weights=beyond, minlength=len(levels) + 1))[:-1]
    stopped = _stopped(state, len(levels)) * block.size
    how_many = [*(stopped + left <= np.array(budgets)), False].index(False)
    return levels[how_many - 1] if how_many else 0


def _crossing(
    sums: "NDArray[np.float64]", state: "NDArray[np.int64]", budgets: Sequence[int], equal: float
) -> "NDArray[np.int64]":
    """Return how many of the levels each choice of signs crosses at a look, of those that have not crossed before.

    `state` says how many levels each has crossed before; `budgets` how many choices may have crossed each by now.
    """
    import numpy as np

    most = budgets[0] + 1
    top = np.argpartition(sums, sums.size - most)[sums.size - most :]
    top = top[np.argsort(-sums[top], kind="stable")]
    its_sums, its_state = sums[top], state[top]
    stopped = _stopped(state, len(budgets))
    crosses, boundary = np.zeros(top.size, dtype=np.int64), -math.inf
    for i, budget in enumerate(budgets):
        if not budget:
            break
        left = its_sums[its_state <= i]
        boundary = max(boundary, float(left[budget - stopped[i]]) + equal)  # never below that of a larger α
        crosses[its_sums > boundary] = i + 1
    found = np.zeros(sums.size, dtype=np.int64)
    found[top] = crosses
    return found


def _stopped(state: "NDArray[np.int64]", levels: int) -> "NDArray[np.int64]":
    """Return how many choices of signs have crossed each level."""
    import numpy as np

    return state.size - np.cumsum(np.bincount(state, minlength=levels + 1))[:levels]


@lru_cache
def _levels(tests: int, *, fine: bool) -> tuple[int, ...]:
    """Return the j of all α/j that are told apart; none of them changes what is found of the smaller ones."""
    every = max(_EVERY if fine else 1, 2 * tests)
    return (*range(1, every + 1), *(j for j in _FEWER if j > every and fine))


@lru_cache
def _budgets(looks: Looks, n: int, levels: Sequence[int]) -> tuple[int, ...]:
    return tuple(looks.budget(n, j) for j in levels)


def _equal(gaps: Sequence[float]) -> float:
    return _EQUAL * max(map(abs, gaps))


@dataclass(frozen=True)
class Followed:
    """A claim that is looked at while it runs: its gaps so far, in the order of its seeds."""

    question: Question
    gaps: Sequence[float]
    looks: Looks


@dataclass(frozen=True)
class Stopped:
    """What the looks at a claim gave. p is `None` if it is above α: a sequential p is known no further."""

    verdict: Verdict
    why: str
    seeds: int  # at the look that decided it, else at the last look; 0 before the first
    p: float | None  # that it holds, times the claims of its family that were open when it was rejected, or are now
    p_against: float | None  # that it fails
    single: tuple[float | None, float | None]  # both, not corrected

    @property
    def is_decided(self) -> bool:
        """Whether it needs no further seed."""
        return self.verdict != "undecided"


@dataclass
class _Progress:
    """A claim of a family in the course of its looks."""

    claim: Followed
    tests: int
    holds: int = 0  # the j by which it is shown to hold so far; and to fail
    fails: int = 0
    shown: int = 0  # over how many open claims it was shown to hold; 0: it is not. And to fail
    excluded: int = 0
    stopped: Stopped | None = None

    @property
    def reached(self) -> int:
        """How many looks its gaps reach."""
        return sum(n <= len(self.claim.gaps) for n in self.claim.looks.at)

    def look(self, number: int, least: int | None) -> None:
        """Look at it at the look of a number, unless its gaps do not reach that; `least` as of `crossed`."""
        if number < self.reached:
            question, gaps = self.claim.question, self.claim.gaps[: self.claim.looks.at[number]]
            if not self.shown:
                self.holds = min(self._crossed(question.holding(gaps), least))
            if not self.excluded:
                sides = question.failing(gaps)
                self.fails = max(self._crossed(sides, least and least * len(sides))) // len(sides)

    def _crossed(self, sides: Sequence[Sequence[float]], least: int | None) -> list[int]:
        return [crossed(shifted, self.claim.looks, self.tests, least)[-1] for shifted in sides]

    @property
    def is_settled(self) -> bool:
        """Whether neither of its nulls can be true and not rejected, so that it leaves its α to the others."""
        return bool(self.shown and self.excluded)


def follow(family: Mapping[_Name, Followed], others: int = 0, *, fine: bool = True) -> dict[_Name, Stopped]:
    """Return what the looks so far give of each claim of a family, with `others` that are not looked at but count.

    A claim has two nulls, that it does not hold and that it does not fail, of which at most one is true; so no more
    nulls can be true at a time than there are claims of which not both are rejected (Shaffer, 1986). Each null is held
    to α over that number, look by look. Any wrong verdict on any claim has a chance of at most α. Without `fine` the
    verdicts are the same, and p says no more than they do.
    """
    tests = len(family) + others
    claims = {name: _Progress(claim, tests) for name, claim in family.items()}
    last = max((claim.reached for claim in claims.values()), default=0)
    for number in range(last):
        _step_down(list(claims.values()), number, tests, fine=fine)
    return {
        name: claim.stopped or _summed_up(claim, last - 1, _open(claims.values(), tests))
        for name, claim in claims.items()
    }


def _step_down(claims: Sequence[_Progress], number: int, tests: int, *, fine: bool) -> None:
    """Reject what can be at a look, until nothing else can, and stop the claims that are decided."""
    running = [claim for claim in claims if claim.stopped is None]
    open_before, still_open = 0, _open(claims, tests)
    while still_open and open_before != still_open:
        for claim in running:
            claim.look(number, None if fine else still_open)
            claim.shown = claim.shown or (still_open if claim.holds >= still_open else 0)
            claim.excluded = claim.excluded or (still_open if claim.fails >= still_open else 0)
        open_before, still_open = still_open, _open(claims, tests)
    for claim in running:
        made = _summed_up(claim, number, still_open)
        claim.stopped = made if made.is_decided else None


def _open(claims: Iterable[_Progress], tests: int) -> int:
    """Return of how many claims not both nulls are rejected."""
    return tests - sum(claim.is_settled for claim in claims)


def _summed_up(claim: _Progress, number: int, still_open: int) -> Stopped:
    """Return what the looks at a claim give up to one of them."""
    of, reached = claim.claim, claim.reached
    if not reached:
        return Stopped("undecided", f"its first look is at {of.looks.at[0]} seeds", 0, None, None, (None, None))
    n = of.looks.at[min(number, reached - 1)]
    verdict, why = verdict_of(of.question, of.gaps[:n], shown=bool(claim.shown), excluded=bool(claim.excluded))
    if not all(map(math.isfinite, of.gaps[:n])):
        why = "a run gave nan, so that no number of seeds decides it"
    elif verdict == "undecided" and reached < len(of.looks.at):
        why = f"{why} by {n} seeds: its next look is at {of.looks.at[reached]}"
    single = tuple(of.looks.alpha / j if j else None for j in (claim.holds, claim.fails))
    times = (claim.shown or still_open, claim.excluded or still_open)
    p, p_against = (None if each is None else min(1.0, m * each) for m, each in zip(times, single, strict=True))
    return Stopped(verdict, why, n, p, p_against, (single[0], single[1]))


def repeated_interval(gaps: Sequence[float], looks: Looks) -> tuple[float, float] | None:
    """Return the repeated 95 % interval of the true mean after the looks that the gaps reach; None before the first.

    It has all values that no look has rejected so far, each side at half of alpha, so that all intervals of all looks
    together hold the truth with at least 95 %, also of a claim that was stopped early. None before a look that can
    reject a value at half of alpha.
    """
    seen = [n for n in looks.at if n <= len(gaps)]
    if not seen or not looks.budget(seen[-1], 2):
        return None
    if not all(map(math.isfinite, gaps[: seen[-1]])):
        return math.nan, math.nan
    used = gaps[: seen[-1]]
    low, high = _bound(used, looks), -_bound([-gap for gap in used], looks)
    scale = max(map(abs, used))
    return without_rounding_noise(low, scale), without_rounding_noise(high, scale)


def _bound(gaps: Sequence[float], looks: Looks) -> float:
    """Return the largest value that the true mean is shown to exceed, at half of alpha, by bisection."""

    def excluded(value: float) -> bool:
        found = crossed([gap - value for gap in gaps], looks)
        return found[-1] >= 2

    spread = max(gaps) - min(gaps)
    low, high = min(gaps) - spread / 1000, max(mean(gaps[:n]) for n in looks.at if n <= len(gaps))
    if not spread:
        return low
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if excluded(middle) else (low, middle)
    return low
