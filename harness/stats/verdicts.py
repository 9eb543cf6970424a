"""What comes of a claim: one-sided sign-flip tests of its gaps, that it holds and that it fails, with Holm's correction
over its family. The claims of a paper and those of a study are decided by this alone.

A gap is the difference that a claim is about, one per seed. A claim asks a `Question` of its gaps:

superiority            above zero, and the mean at least the margin, the smallest effect that matters
superiority_by_margin  above the margin
non_inferiority        above minus the margin
equivalence            between minus the margin and the margin (two one-sided tests, of which the larger p counts)

The opposite is that the margin is not reached (non-inferiority: minus the margin; equivalence: the gap lies beyond it).
If both are shown of superiority, there is a difference in the claimed direction that is too small to matter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.stats.tests import ALPHA, draw_error, draws, holm, one_sided, smallest_p

Hypothesis = Literal["superiority", "superiority_by_margin", "non_inferiority", "equivalence"]
Verdict = Literal["supported", "too small", "contradicted", "undecided"]
_Name = TypeVar("_Name")


@dataclass(frozen=True)
class Question:
    """What a claim says about its gaps. `sign` is -1 if it claims that they are below zero; the margin is positive."""

    hypothesis: Hypothesis
    margin: float
    sign: Literal[1, -1] = 1

    def forward(self, gaps: Sequence[float]) -> list[float]:
        """Return the gaps such that a larger one speaks for the claim."""
        return [self.sign * gap for gap in gaps]

    def holding(self, gaps: Sequence[float]) -> list[list[float]]:
        """Return the gaps from each bound that must be passed for the claim to hold: the mean above zero."""
        m = self.margin
        if self.hypothesis == "equivalence":
            return [[m + sign * gap for gap in gaps] for sign in (-1, 1)]
        least = {"non_inferiority": -m, "superiority_by_margin": m}.get(self.hypothesis, 0.0)
        return [[gap - least for gap in self.forward(gaps)]]

    def failing(self, gaps: Sequence[float]) -> list[list[float]]:
        """Return the same for it to fail: of two bounds, one that is passed suffices."""
        m = self.margin
        if self.hypothesis == "equivalence":
            return [[sign * gap - m for gap in gaps] for sign in (1, -1)]
        bound = -m if self.hypothesis == "non_inferiority" else m
        return [[bound - gap for gap in self.forward(gaps)]]

    def reaches(self, gap: float) -> bool:
        """Return whether a mean gap is as large as the claim needs; of equivalence, as small."""
        if self.hypothesis == "equivalence":
            return abs(gap) <= self.margin
        gap *= self.sign
        return gap > -self.margin if self.hypothesis == "non_inferiority" else gap >= self.margin


@dataclass(frozen=True)
class Asked:
    """A question with the gaps that are known; none of a claim that has not run, which counts for Holm all the same."""

    question: Question
    gaps: Sequence[float]
    counted: str = ""  # "4 seeds", with what is missing; by default their number


@dataclass(frozen=True)
class Decision:
    """A verdict with the p behind it, one-sided and after Holm's correction over the family."""

    verdict: Verdict
    why: str
    p: float  # that the claim holds
    p_against: float  # that it fails
    smallest_p: float  # that so many gaps can give either, the other tests of the family being what they are
    draws: int | None = None  # choices of signs that were drawn for either p; None: all were counted
    error: float | None = None  # the larger Monte-Carlo standard error of the two p, before Holm's correction


def p_holds(question: Question, gaps: Sequence[float], tests: int = 1, alpha: float = ALPHA) -> float:
    """Return the one-sided p that a claim holds, of a family of so many tests; 1 for no gaps and for nan.

    A claim that is not run so counts among the tests of its family: what it will give is not known.
    """
    if not _known(gaps):
        return 1.0
    return max(one_sided(shifted, tests, alpha) for shifted in question.holding(gaps))


def p_fails(question: Question, gaps: Sequence[float], tests: int = 1, alpha: float = ALPHA) -> float:
    """Return the one-sided p that the claim's bound is not reached; of equivalence, that the gap lies beyond it."""
    if not _known(gaps):
        return 1.0
    sides = question.failing(gaps)
    return min(1.0, len(sides) * min(one_sided(shifted, tests, alpha) for shifted in sides))


def decide(family: Mapping[_Name, Asked], alpha: float = ALPHA) -> dict[_Name, Decision]:
    """Return the decision on each claim of a family; Holm's correction is over all of them."""
    tests = len(family)
    holds = {name: p_holds(asked.question, asked.gaps, tests, alpha) for name, asked in family.items()}
    fails = {name: p_fails(asked.question, asked.gaps, tests, alpha) for name, asked in family.items()}
    corrected = _corrected(holds), _corrected(fails)
    made = {}
    for name, asked in family.items():
        least = smallest_p(len(asked.gaps), 1, tests, alpha)
        smallest = min(_corrected({**ps, name: least})[name] for ps in (holds, fails))
        drawn = draws(len(asked.gaps), tests, alpha)
        errors = [error for ps in (holds, fails) if (error := draw_error(ps[name], drawn)) is not None]
        p, p_against = (ps[name] for ps in corrected)
        verdict, why = _verdict(asked, p, p_against, smallest, alpha)
        made[name] = Decision(verdict, why, p, p_against, smallest, drawn, max(errors, default=None))
    return made


_CONTRADICTED: Mapping[Hypothesis, str] = {
    "non_inferiority": "a difference in the other direction, too large to be tolerated, is shown",
    "equivalence": "a difference large enough to matter is shown",
}


def _verdict(asked: Asked, p: float, p_against: float, smallest: float, alpha: float) -> tuple[Verdict, str]:
    """Decide a claim by its corrected p, and say why."""
    if smallest >= alpha:
        counted = asked.counted or (f"{len(asked.gaps)} seed{'' if len(asked.gaps) == 1 else 's'}")
        return "undecided", f"too few runs to tell: {counted} give no p below {smallest:.2g} after the correction"
    return verdict_of(asked.question, asked.gaps, shown=p < alpha, excluded=p_against < alpha)


def verdict_of(question: Question, gaps: Sequence[float], *, shown: bool, excluded: bool) -> tuple[Verdict, str]:
    """Return the verdict on a claim, and why: `shown` if its test rejects, `excluded` if the opposite one does."""
    if shown and (question.hypothesis != "superiority" or question.reaches(mean_gap(gaps))):
        return "supported", "the test rejects and the effect is large enough"
    if shown and excluded:
        return "too small", "the difference is in the claimed direction, but too small to matter"
    if excluded:
        return "contradicted", _CONTRADICTED.get(question.hypothesis, "an effect large enough to matter is ruled out")
    if shown:
        return "undecided", "the difference is in the claimed direction, but not shown to be large enough to matter"
    return "undecided", "neither the claim nor its opposite is shown"


def mean_gap(gaps: Sequence[float]) -> float:
    """Return the mean of the gaps."""
    return math.fsum(gaps) / len(gaps)


def _corrected(ps: Mapping[_Name, float]) -> dict[_Name, float]:
    return dict(zip(ps, holm(list(ps.values())), strict=True))


def _known(gaps: Sequence[float]) -> bool:
    return bool(gaps) and not any(map(math.isnan, gaps))
