"""What came of the paper's claims: each by the test that was written down for it (`paper/claims.yml`, with the day and
what was known then). Nothing here is typed by hand but the claims.

supported     the test rejects and the mean reaches the smallest effect that matters (ours: the paper states none)
too small     the test rejects, and so does its opposite: a difference the claim's way, too small to matter
contradicted  the opposite test alone rejects: an effect that matters is excluded
undecided     neither, or too few seeds ever to reject (the smallest attainable p stands beside it)
not run       nothing is stored of one of its trials
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from harness.report.claims.arithmetic import paper_table
from harness.report.claims.claim import Claim, Claims, Family
from harness.report.claims.gap_tests import bound_of, effect_of, mean_gap, p_fails, p_holds, reaches, rule, timed_way
from harness.report.claims.sensitivity import Sensitivity, sensitivity
from harness.report.claims.values import Curves, MapsOf, Measured, Stored
from harness.report.stats import holm, interval
from harness.store.records import Snapshot

Verdict = Literal["supported", "too small", "contradicted", "undecided", "not run"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_KEPT = {"result": "result", "curve": "curve", "artifact": "map", "timing": "timing", "cost": "count"}


@dataclass(frozen=True)
class Finding:
    """A claim with what came of it. `effect` is on the claim's scale: a mean difference, or a ratio."""

    id: str
    title: str
    table: int | None
    section: str
    about: str  # what the claims beside it are on: "Table 1", "ImageNet"
    place: str  # section and sentence
    quote: str
    reading: str
    quantity: str  # what is measured
    test: Literal["sign_flip", "arithmetic", "timing"]
    rule: str  # of the decision
    entered: date  # when the test was written down
    known: str  # what was known of its trials then; "" where nothing was
    verdict: Verdict
    scale: Literal["difference", "ratio"]
    effect: float | None
    needed: float
    matters: str  # from where an effect matters, as we see it: "at least 0.001"
    because: str  # why from there
    seeds: tuple[int, ...]
    interval: tuple[float, float] | None  # of the effect: 95 % by Student's t; of times least and most
    p: float | None  # one-sided, that the claim holds, after Holm's correction
    p_against: float | None  # the same, that it fails
    smallest_p: float | None  # that so many seeds can give either, the other tests of its family as they are
    why: str
    beside: str = ""  # the effect on another quantity, which decides nothing
    awaits: str = ""  # what this version cannot do yet, so that it cannot be run
    changed: str = ""  # what of its family was settled after it was entered
    timed_on: str | None = None  # of times: device and threads, and the paper's device
    sensitivity: Sensitivity | None = None  # to a setting that the paper does not state; None where it was not varied


def findings(
    snapshot: Snapshot, claims: Claims, curves: Curves | None = None, maps: MapsOf | None = None
) -> list[Finding]:
    """Return a finding for each claim, in order.

    Those on curves need `curves` (`store.queries.curve` of a uid), those on maps `maps` (of an attempt, as
    `figures.results.Results.maps`).
    """
    stored = Stored(snapshot, curves or (lambda _: ()), maps or (lambda _: None))
    return [finding for family in claims.families for finding in _family(stored, family)]


def _family(stored: Stored, family: Family) -> list[Finding]:
    measured = [stored.measure(family, claim) for claim in family.claims]
    tested = {m.claim.id: m for m in measured if m.claim.test == "sign_flip"}
    holds = {name: p_holds(m.claim, m.gaps) for name, m in tested.items()}
    fails = {name: p_fails(m.claim, m.gaps) for name, m in tested.items()}
    corrected = _corrected(holds), _corrected(fails)
    found = []
    for m in measured:
        if not m.gaps:
            outcome = _Outcome("not run", _lacking(family, m))
        elif m.claim.test == "sign_flip":
            holding = corrected[0][m.claim.id], _least(holds, m)
            failing = corrected[1][m.claim.id], _least(fails, m)
            outcome = _tested(family, m, holding, failing)
        else:
            outcome = _compared(m)
        depends, beside = sensitivity(stored, family, m.claim), _beside(stored, family, m.claim)
        found.append(_finding(family, m, outcome, depends, beside))
    return found


@dataclass(frozen=True)
class _Outcome:
    verdict: Verdict
    why: str
    p: float | None = None
    p_against: float | None = None
    smallest_p: float | None = None


def _corrected(ps: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's correction of the p of each of a family's tests."""
    return dict(zip(ps, holm(list(ps.values())), strict=True))


def _least(ps: Mapping[str, float], m: Measured) -> float:
    """Return the smallest corrected p that a claim's seeds could give, the family's other tests being what they are."""
    return _corrected({**ps, m.claim.id: 2.0 ** -len(m.gaps)})[m.claim.id]


def _tested(family: Family, m: Measured, holding: tuple[float, float], failing: tuple[float, float]) -> _Outcome:
    """Decide a claim by the corrected p that it holds and that it fails, each with the least that it could be."""
    (holds, least), (fails, least_failing) = holding, failing
    shown, excluded = holds < family.alpha, fails < family.alpha
    verdict: Verdict = "undecided"
    why = "neither the claim nor its opposite is shown"
    if min(least, least_failing) >= family.alpha:
        why = (
            f"too few runs to tell: {_counted(m)} give no p below {min(least, least_failing):.2g} after the correction"
        )
    elif shown and (m.claim.hypothesis != "superiority" or reaches(m.claim, mean_gap(m.gaps))):
        verdict, why = "supported", "the test rejects and the effect is large enough"
    elif shown and excluded:
        verdict = "too small"
        why = "a difference the claim's way is shown, and that it is large enough to matter is excluded"
    elif excluded:
        verdict, why = "contradicted", "an effect that would matter is excluded"
    elif shown:
        why = "a difference the claim's way is shown, but not that it is large enough to matter"
    return _Outcome(verdict, why, holds, fails, min(least, least_failing))


def _compared(m: Measured) -> _Outcome:
    """Decide a claim on counts, or on the medians of two timings: not where their spread has the bound in it."""
    if m.timed is None:
        why = "counts, no test of chance"
    elif m.timed.ends is None:
        why = "one timing each, of a spread that is not known; no test of chance"
    else:
        why = f"medians of {m.timed.repetitions} each, no test of chance"
    way = timed_way(m.claim, m)
    if way is None:
        return _Outcome("undecided", f"{why}: the bound lies within their spread")
    return _Outcome("supported" if way else "contradicted", why)


def _counted(m: Measured) -> str:
    """Return "4 seeds", and how many are stored, where some runs lack what is measured."""
    seeds = "1 seed" if len(m.gaps) == 1 else f"{len(m.gaps)} seeds"
    return seeds if m.runs <= len(m.gaps) else f"{seeds} (of {m.runs} stored; the others kept nothing of it here)"


def _lacking(family: Family, m: Measured) -> str:
    """Say what is not stored, and how many seeds it takes."""
    if family.awaits:
        return f"this version cannot run it: it awaits {family.awaits}"
    kept = _KEPT[family.quantities[m.claim.quantity].source]
    if m.claim.test == "timing":
        return f"no timing of {' and '.join(m.missing)} on one device is stored"
    said = f"no {kept} is stored of {' and of '.join(m.missing)}" if m.missing else f"no seed has a {kept} of both"
    return f"{said}; needs {family.seeds_needed} seeds" if m.claim.test == "sign_flip" else said


def _beside(stored: Stored, family: Family, claim: Claim) -> str:
    """Return "multiply-accumulates 0.613": the effect on what is to be shown beside a claim's quantity; "" of none."""
    other = family.quantities[claim.quantity].beside
    if other is None:
        return ""
    gaps = stored.measure(family, claim.model_copy(update={"quantity": other})).gaps
    return f"{other} {effect_of(claim, mean_gap(gaps)):.3g}" if gaps else ""


def _finding(family: Family, m: Measured, outcome: _Outcome, depends: Sensitivity | None, beside: str) -> Finding:
    claim: Claim = m.claim
    quantity = family.quantities[claim.quantity]
    return Finding(
        id=claim.id,
        title=claim.title,
        table=family.table,
        section=family.section,
        about=family.about,
        place=claim.place,
        quote=claim.quote,
        reading=claim.reading,
        quantity=f"{claim.quantity} [{quantity.unit}]: {quantity.of}",
        test=claim.test,
        rule=rule(claim, family.alpha),
        entered=claim.entered,
        known=claim.known,
        verdict=outcome.verdict,
        scale=claim.scale,
        effect=effect_of(claim, mean_gap(m.gaps)) if m.gaps else None,
        needed=claim.effect,
        matters=bound_of(claim),
        because=claim.reason,
        seeds=m.seeds,
        interval=_interval(m),
        p=outcome.p,
        p_against=outcome.p_against,
        smallest_p=outcome.smallest_p,
        why="; ".join([outcome.why, *(f"some of it was {remark}" for remark in m.remarks)]),
        beside=beside,
        awaits=family.awaits,
        changed=family.changed,
        timed_on=_timed_on(family, m),
        sensitivity=depends,
    )


def _interval(m: Measured) -> tuple[float, float] | None:
    """Return the interval of an effect, on the claim's scale; None of counts, of one seed, and of one timing."""
    found = m.timed.ends if m.timed is not None else interval(m.gaps) if m.claim.test == "sign_flip" else None
    return None if found is None else (effect_of(m.claim, found[0]), effect_of(m.claim, found[1]))


def _timed_on(family: Family, m: Measured) -> str | None:
    """Return "AMD EPYC (AVX2, 2 cores), 2 threads; the paper's NVIDIA GeForce GTX 1070" of times."""
    if m.timed is None:
        return None
    device, threads = m.timed.place
    papers = None if family.table is None else paper_table(family.table).device
    here = f"{device}, {threads} thread{'s' if threads > 1 else ''}"
    return here if papers is None else f"{here}; the paper's {papers}"
