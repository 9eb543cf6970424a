"""What came of the paper's claims: each by the test that was written down before its runs (`paper/claims.yml`), and the
list of the paper's disagreements with itself. Nothing here is typed by hand but the claims.

supported     the test rejects and the mean reaches the smallest effect that matters
contradicted  the opposite test rejects: the claimed effect is excluded
undecided     neither, or too few seeds ever to reject (the smallest attainable p stands beside it)
not run       nothing is stored of one of the two trials
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.report import stats
from harness.report.arithmetic import paper_table
from harness.report.claims import Claim, Claims, Family, Quantity
from harness.report.curve_values import QUANTITIES
from harness.report.match import clean_timings
from harness.report.selection import values
from harness.report.table import Evaluated
from harness.spec.attempt import Point, unflagged
from harness.store.records import Snapshot

Curves = Callable[[str], Sequence[Point]]  # an attempt's uid -> its curve
Verdict = Literal["supported", "contradicted", "undecided", "not run"]


@dataclass(frozen=True)
class Finding:
    """A claim with what came of it. `effect` is on the claim's scale: a mean difference, or a ratio."""

    id: str
    table: int
    section: str
    quote: str
    reading: str
    verdict: Verdict
    effect: float | None
    needed: float
    seeds: tuple[int, ...]
    p: float | None  # one-sided, after Holm's correction
    smallest_p: float | None  # that so many seeds can give after the correction
    why: str


@dataclass(frozen=True)
class _Measured:
    claim: Claim
    seeds: tuple[int, ...]
    gaps: tuple[float, ...]  # differences, or differences of logarithms


def findings(snapshot: Snapshot, claims: Claims, curves: Curves | None = None) -> list[Finding]:
    """Return a finding for each claim, in order; those on curves need `curves`: `store.queries.curve` of a uid."""
    read: Curves = curves or (lambda _: ())
    return [finding for family in claims.families for finding in _family(snapshot, family, read)]


def _family(snapshot: Snapshot, family: Family, curves: Curves) -> list[Finding]:
    measured = [_measure(snapshot, family, claim, curves) for claim in family.claims]
    tested = [m for m in measured if m.claim.test == "sign_flip"]
    holds = dict(zip((m.claim.id for m in tested), stats.holm([_p(m, 1) for m in tested]), strict=True))
    fails = dict(zip((m.claim.id for m in tested), stats.holm([_p(m, -1) for m in tested]), strict=True))
    tests = len(tested)
    return [
        _tested(family, m, holds[m.claim.id], fails[m.claim.id], tests)
        if m.claim.test == "sign_flip"
        else _compared(family, m)
        for m in measured
    ]


def _p(measured: _Measured, side: int) -> float:
    """Return the one-sided p that the claim holds (side 1), or that its bound is not reached (side -1).

    A claim that is not run counts among the tests, with a p of 1: what it will give is not known.
    """
    if not measured.gaps or any(map(math.isnan, measured.gaps)):
        return 1.0
    claim = measured.claim
    sign = -1 if claim.direction == "less" else 1
    effect = abs(math.log(claim.effect)) if claim.scale == "ratio" else claim.effect
    lose = claim.hypothesis == "non_inferiority"
    bound = (-effect if lose else 0.0) if side > 0 else (-effect if lose else effect)
    return stats.one_sided([side * (sign * gap - bound) for gap in measured.gaps])


def _tested(family: Family, m: _Measured, holds: float, fails: float, tests: int) -> Finding:
    if not m.gaps:
        if family.quantities[m.claim.quantity].source == "artifact":
            return _finding(family, m, "not run", None, None, "the stored maps are not read for findings yet")
        return _finding(family, m, "not run", None, None, f"needs {family.seeds_needed} seeds of both trials")
    least = min(1.0, tests * 2.0 ** -len(m.gaps))
    effect = _effect(m)
    if least >= family.alpha:
        why = f"too few runs to tell: {len(m.gaps)} seeds give no p below {least:.2g} after the correction"
        return _finding(family, m, "undecided", holds, least, why)
    if holds < family.alpha and (m.claim.hypothesis == "non_inferiority" or _reaches(m.claim, effect)):
        return _finding(family, m, "supported", holds, least, "the test rejects and the effect is large enough")
    if fails < family.alpha:
        return _finding(family, m, "contradicted", fails, least, "the test excludes the effect that was claimed")
    return _finding(family, m, "undecided", holds, least, "neither the claim nor its opposite is shown")


def _compared(family: Family, m: _Measured) -> Finding:
    """A count, or a time on one device, against the effect."""
    if not m.gaps:
        return _finding(family, m, "not run", None, None, f"no {m.claim.test} of both trials is stored")
    effect = _effect(m)
    if m.claim.hypothesis == "equivalence":
        held = abs(m.gaps[0]) <= abs(math.log(m.claim.effect) if m.claim.scale == "ratio" else m.claim.effect)
    else:
        held = _reaches(m.claim, effect)
    return _finding(
        family, m, "supported" if held else "contradicted", None, None, f"{m.claim.test}, no test of chance"
    )


def _reaches(claim: Claim, effect: float) -> bool:
    if claim.scale == "ratio":
        return effect <= claim.effect if claim.direction == "less" else effect >= claim.effect
    return (-effect if claim.direction == "less" else effect) >= claim.effect


def _effect(m: _Measured) -> float:
    middle = math.fsum(m.gaps) / len(m.gaps)
    return math.exp(middle) if m.claim.scale == "ratio" else middle


def _finding(family: Family, m: _Measured, verdict: Verdict, p: float | None, least: float | None, why: str) -> Finding:
    claim = m.claim
    effect = _effect(m) if m.gaps else None
    return Finding(
        claim.id, family.table, family.section, claim.quote, claim.reading, verdict, effect, claim.effect,
        m.seeds, p, least, why,
    )  # fmt: skip


def _measure(snapshot: Snapshot, family: Family, claim: Claim, curves: Curves) -> _Measured:
    one, other = (_values(snapshot, family, name, claim.quantity, curves) for name in claim.trials)
    seeds = tuple(seed for seed in one if seed in other)
    pairs = [(one[seed], other[seed]) for seed in seeds]
    if claim.scale == "ratio":
        gaps = tuple(math.log(a) - math.log(b) if a > 0 and b > 0 else math.nan for a, b in pairs)
    else:
        gaps = tuple(a - b for a, b in pairs)
    return _Measured(claim, seeds, gaps)


def _values(snapshot: Snapshot, family: Family, name: str, word: str, curves: Curves) -> dict[int, float]:
    """Return a quantity of a trial by seed; counts and times as that of seed 0; empty where nothing is stored."""
    quantity = family.quantities[word]
    key = _trial(snapshot, family, name, quantity)
    if key is None:
        return {}
    if quantity.source == "cost":
        cost = snapshot.trials[key].costs.get(quantity.name)
        return {} if cost is None else {0: cost}
    if quantity.source == "timing":
        timed = [a.measures[quantity.name] for a in clean_timings(snapshot, key) if quantity.name in a.measures]
        return {0: timed[-1]} if timed else {}
    if quantity.source == "curve":
        return _off_curves(snapshot, key, word, quantity, curves)
    if quantity.source != "result":
        return {}
    table = paper_table(family.table)
    columns = [c for c in table.columns if c.metric == quantity.name and c.where == quantity.where]
    on = columns[0].evaluation if columns else Evaluated(split=quantity.split or "test")
    found = values(snapshot, key, sorted(snapshot.runs(key)), quantity.name, on, table.expect.dataset)
    return {seed: value for seed, value in found.items() if value is not None}


def _off_curves(snapshot: Snapshot, key: str, word: str, quantity: Quantity, curves: Curves) -> dict[int, float]:
    """Return a quantity of the curve of each of a trial's runs that kept one."""
    epochs = int(snapshot.trials[key].config.get("protocol", {}).get("epochs", 1))
    found = {}
    for seed, run in sorted(snapshot.runs(key).items()):
        points = [p for p in curves(run.uid) if (p.name, p.split) == (quantity.name, quantity.split)]
        if points:
            found[seed] = QUANTITIES[word]([(p.step, unflagged(p.value, p.flag)) for p in points], epochs)
    return found


def _trial(snapshot: Snapshot, family: Family, name: str, quantity: Quantity) -> str | None:
    """Return the key of a claim's trial: the newest that the table's study, or one that feeds the claims, has."""
    wanted = family.trials[name]
    said = wanted.name
    for path, value in quantity.where.items():
        said = said.replace(f"{{{path}}}", str(value))
    for study in dict.fromkeys((*family.studies, wanted.study)):
        for record in reversed(snapshot.study_trials):
            if (record.study, record.name) == (study, said):
                return record.trial_key
    return None
