"""A claim of the paper as a question to its gaps, which `stats.verdicts` decides; its bound and its rule in words; and
which way its mean points. `claims.yml` says what superiority, non-inferiority and equivalence are.
"""

import math
from collections.abc import Sequence
from statistics import median

from harness.report.claims.claim import Claim
from harness.stats.verdicts import Question, mean_gap

SESSIONS = 5
"""Sessions that must agree before a claim on time has a verdict."""


def question_of(claim: Claim) -> Question:
    """Return what a claim asks of its gaps; the margin of a ratio is a logarithm, as its gaps are."""
    margin = abs(math.log(claim.effect)) if claim.scale == "ratio" else claim.effect
    return Question(claim.hypothesis, margin, -1 if claim.direction == "less" else 1)


def middle(claim: Claim, gaps: Sequence[float]) -> float:
    """Return the gap that is shown: the mean over seeds; of times the median over sessions."""
    return median(gaps) if claim.test == "timing" else mean_gap(gaps)


def effect_of(claim: Claim, gap: float) -> float:
    """Return a gap on the claim's scale: as it is, or as a ratio."""
    return math.exp(gap) if claim.scale == "ratio" else gap


def reaches(claim: Claim, gap: float) -> bool:
    """Return whether a mean gap is as large as the claim needs, or as small, where it claims that nothing changes."""
    return question_of(claim).reaches(gap)


def points(claim: Claim, gap: float) -> bool | None:
    """Return whether a mean gap points the claim's way; None if there is none, or nan.

    Of superiority that is its sign alone, of the others whether it lies within the margin.
    """
    if math.isnan(gap) or (claim.hypothesis == "superiority" and gap == 0):
        return None
    if claim.hypothesis == "superiority":
        return (gap < 0) == (claim.direction == "less")
    return reaches(claim, gap)


def timed_way(claim: Claim, gaps: Sequence[float]) -> bool | None:
    """Return whether times reach a claim's bound; None if fewer than `SESSIONS` sessions, or not all of them, agree."""
    ways = {reaches(claim, gap) for gap in gaps}
    return ways.pop() if len(gaps) >= SESSIONS and len(ways) == 1 else None


def bound_of(claim: Claim) -> str:
    """Return from where an effect matters: "at least 0.001", "above -0.001", "within a factor of 1.6"."""
    effect = f"{claim.effect:.4g}"
    if claim.hypothesis == "equivalence":
        return f"within a factor of {effect}" if claim.scale == "ratio" else f"within {effect} either way"
    less, ratio = claim.direction == "less", claim.scale == "ratio"
    if claim.hypothesis == "non_inferiority":
        worse = f"{1 / claim.effect:.4g}" if ratio else f"{claim.effect if less else -claim.effect:.4g}"
        return f"{'below' if less else 'above'} {worse}"
    return f"at {'most' if less else 'least'} {effect if ratio or not less else f'-{effect}'}"


def rule(claim: Claim, alpha: float, drawn: int | None = None) -> str:
    """Return what decides a claim, in a sentence; `drawn` choices of signs where not all are counted."""
    effect = f"{claim.effect:.4g}"
    if claim.test != "sign_flip":
        if claim.test == "arithmetic":
            return f"the count, as a {claim.scale}, {bound_of(claim)}; no test of chance"
        return (
            f"the medians of a session, as a {claim.scale}, {bound_of(claim)}, in every session on one device and in at"
            f" least {SESSIONS}; descriptive, no test of chance"
        )
    kind = {"superiority": "above no difference, and a mean of at least", "superiority_by_margin": "above",
            "non_inferiority": "not worse by", "equivalence": "within, either way,"}  # fmt: skip
    return (
        f"one-sided {'exact ' if drawn is None else ''}sign flips of"
        f" {'log ratios' if claim.scale == 'ratio' else 'differences'} paired by seed:"
        f" {kind[claim.hypothesis]} {effect}; p < {alpha:g} after Holm over the family"
    )
