"""What came of the paper's claims: each by the test that was written down for it (`paper/claims.yml`, with the day and
what was known then). Nothing here is typed by hand but the claims.

supported     the test rejects and the mean reaches the smallest effect that matters
too small     the test rejects, and so does its opposite: a difference the claim's way, too small to matter
contradicted  the opposite test alone rejects: the claimed effect is excluded
undecided     neither, or too few seeds ever to reject (the smallest attainable p stands beside it)
not run       nothing is stored of one of its trials
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

from harness.report.claims.arithmetic import paper_table
from harness.report.claims.claim import Claim, Claims, Family
from harness.report.claims.gap_tests import bound_of, effect_of, mean_gap, p_fails, p_holds, reaches, rule
from harness.report.claims.sensitivity import Sensitivity, sensitivity
from harness.report.claims.values import Curves, MapsOf, Measured, Stored
from harness.report.stats import holm
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
    claimed: str  # of the effect: "at least 0.001"
    seeds: tuple[int, ...]
    p: float | None  # one-sided, after Holm's correction
    smallest_p: float | None  # that so many seeds can give after the correction, the family's other p as they are
    why: str
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
        depends = sensitivity(stored, family, m.claim)
        if not m.gaps:
            found.append(_finding(family, m, "not run", None, None, _lacking(family, m), depends))
        elif m.claim.test == "sign_flip":
            holding = corrected[0][m.claim.id], _least(holds, m)
            failing = corrected[1][m.claim.id], _least(fails, m)
            found.append(_tested(family, m, holding, failing, depends))
        else:
            verdict: Verdict = "supported" if reaches(m.claim, mean_gap(m.gaps)) else "contradicted"
            found.append(_finding(family, m, verdict, None, None, _untested(m), depends))
    return found


def _corrected(ps: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's correction of the p of each of a family's tests."""
    return dict(zip(ps, holm(list(ps.values())), strict=True))


def _least(ps: Mapping[str, float], m: Measured) -> float:
    """Return the smallest corrected p that a claim's seeds could give, the family's other tests being what they are."""
    return _corrected({**ps, m.claim.id: 2.0 ** -len(m.gaps)})[m.claim.id]


def _tested(
    family: Family,
    m: Measured,
    holding: tuple[float, float],
    failing: tuple[float, float],
    depends: Sensitivity | None,
) -> Finding:
    """Decide a claim by the corrected p that it holds and that it fails, each with the least that it could be."""
    (holds, least), (fails, least_failing) = holding, failing
    shown, excluded = holds < family.alpha, fails < family.alpha
    verdict: Verdict = "undecided"
    p, why = holds, "neither the claim nor its opposite is shown"
    if min(least, least_failing) >= family.alpha:
        least = min(least, least_failing)
        why = f"too few runs to tell: {_counted(m)} give no p below {least:.2g} after the correction"
    elif shown and (m.claim.hypothesis != "superiority" or reaches(m.claim, mean_gap(m.gaps))):
        verdict, why = "supported", "the test rejects and the effect is large enough"
    elif shown and excluded:
        verdict = "too small"
        why = "a difference the claim's way is shown, and that it is as large as claimed is excluded"
    elif excluded:
        verdict, p, least = "contradicted", fails, least_failing
        why = "the test excludes the effect that was claimed"
    elif shown:
        why = "a difference the claim's way is shown, but not that it is as large as claimed"
    return _finding(family, m, verdict, p, least, why, depends)


def _untested(m: Measured) -> str:
    return "counts, no test of chance" if m.claim.test == "arithmetic" else "medians of two timings, no test of chance"


def _counted(m: Measured) -> str:
    """Return "4 seeds", and how many are stored, where some runs lack what is measured."""
    seeds = "1 seed" if len(m.gaps) == 1 else f"{len(m.gaps)} seeds"
    return seeds if m.runs <= len(m.gaps) else f"{seeds} (of {m.runs} stored; the others kept nothing of it here)"


def _lacking(family: Family, m: Measured) -> str:
    """Say what is not stored, and how many seeds it takes."""
    kept = _KEPT[family.quantities[m.claim.quantity].source]
    if m.claim.test == "timing":
        return f"no timing of {' and '.join(m.missing)} on one device is stored"
    said = f"no {kept} is stored of {' and of '.join(m.missing)}" if m.missing else f"no seed has a {kept} of both"
    return f"{said}; needs {family.seeds_needed} seeds" if m.claim.test == "sign_flip" else said


def _finding(
    family: Family, m: Measured, verdict: Verdict, p: float | None, least: float | None, why: str,
    depends: Sensitivity | None,
) -> Finding:  # fmt: skip
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
        verdict=verdict,
        scale=claim.scale,
        effect=effect_of(claim, mean_gap(m.gaps)) if m.gaps else None,
        needed=claim.effect,
        claimed=bound_of(claim),
        seeds=m.seeds,
        p=p,
        smallest_p=least,
        why=why,
        timed_on=_timed_on(family, m),
        sensitivity=depends,
    )


def _timed_on(family: Family, m: Measured) -> str | None:
    """Return "AMD EPYC (AVX2, 2 cores), 2 threads; the paper's NVIDIA GeForce GTX 1070" of times."""
    if m.place is None:
        return None
    device, threads = m.place
    papers = None if family.table is None else paper_table(family.table).device
    here = f"{device}, {threads} thread{'s' if threads > 1 else ''}"
    return here if papers is None else f"{here}; the paper's {papers}"
