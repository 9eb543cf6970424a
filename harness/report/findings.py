"""What came of the paper's claims: each by the test that was written down before its runs (`paper/claims.yml`). Nothing
here is typed by hand but the claims.

supported     the test rejects and the mean reaches the smallest effect that matters
contradicted  the opposite test rejects: the claimed effect is excluded
undecided     neither, or too few seeds ever to reject (the smallest attainable p stands beside it)
not run       nothing is stored of one of its trials
"""

from dataclasses import dataclass
from typing import Literal

from harness.report.claim import Claim, Claims, Family
from harness.report.claim_tests import effect_of, mean_gap, p_fails, p_holds, reaches, rule
from harness.report.claim_values import Curves, MapsOf, Measured, Stored
from harness.report.sensitivity import Sensitivity, sensitivity
from harness.report.stats import holm
from harness.store.records import Snapshot

Verdict = Literal["supported", "contradicted", "undecided", "not run"]
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "undecided", "not run")
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
    rule: str  # of the decision
    verdict: Verdict
    effect: float | None
    needed: float
    seeds: tuple[int, ...]
    p: float | None  # one-sided, after Holm's correction
    smallest_p: float | None  # that so many seeds can give after the correction
    why: str
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
    tested = [m for m in measured if m.claim.test == "sign_flip"]
    holds = dict(zip((m.claim.id for m in tested), holm([p_holds(m.claim, m.gaps) for m in tested]), strict=True))
    fails = dict(zip((m.claim.id for m in tested), holm([p_fails(m.claim, m.gaps) for m in tested]), strict=True))
    found = []
    for m in measured:
        depends = sensitivity(stored, family, m.claim)
        if not m.gaps:
            found.append(_finding(family, m, "not run", None, None, _lacking(family, m), depends))
        elif m.claim.test == "sign_flip":
            found.append(_tested(family, m, holds[m.claim.id], fails[m.claim.id], depends))
        else:
            verdict: Verdict = "supported" if reaches(m.claim, mean_gap(m.gaps)) else "contradicted"
            found.append(_finding(family, m, verdict, None, None, f"{m.claim.test}, no test of chance", depends))
    return found


def _tested(family: Family, m: Measured, holds: float, fails: float, depends: Sensitivity | None) -> Finding:
    least = min(1.0, family.tests * 2.0 ** -len(m.gaps))
    verdict: Verdict = "undecided"
    p, why = holds, "neither the claim nor its opposite is shown"
    if least >= family.alpha:
        why = f"too few runs to tell: {_counted(m.gaps)} give no p below {least:.2g} after the correction"
    elif holds < family.alpha and (m.claim.hypothesis != "superiority" or reaches(m.claim, mean_gap(m.gaps))):
        verdict, why = "supported", "the test rejects and the effect is large enough"
    elif fails < family.alpha:
        verdict, p, why = "contradicted", fails, "the test excludes the effect that was claimed"
    return _finding(family, m, verdict, p, least, why, depends)


def _counted(gaps: tuple[float, ...]) -> str:
    return "1 seed" if len(gaps) == 1 else f"{len(gaps)} seeds"


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
        rule=rule(claim, family.alpha),
        verdict=verdict,
        effect=effect_of(claim, mean_gap(m.gaps)) if m.gaps else None,
        needed=claim.effect,
        seeds=m.seeds,
        p=p,
        smallest_p=least,
        why=why,
        sensitivity=depends,
    )
