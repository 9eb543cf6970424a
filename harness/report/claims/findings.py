"""What came of the paper's claims: each by the test that was written down for it (`claims.yml`, with the day and
what was known then). Nothing here is typed by hand but the claims.

supported     the test rejects and the mean reaches the smallest effect that matters (ours: the paper states none)
too small     the test rejects, and so does its opposite: a difference the claim's way, too small to matter
contradicted  the opposite test alone rejects: an effect that matters is excluded
undecided     neither, or too few seeds ever to reject (the smallest attainable p is printed beside it)
not run       nothing is stored of one of its trials
withdrawn     the reading does not mean its sentence: what it gave is shown, with the reason and what replaces it

What a family marked exploratory gives was written after the results: it is shown apart, and confirms nothing.
"""

from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

from harness.report.claims.arithmetic import paper_table
from harness.report.claims.claim import Claim, Claims, Family, Verdict
from harness.report.claims.gap_tests import (
    SESSIONS,
    bound_of,
    effect_of,
    middle,
    question_of,
    reaches,
    rule,
    timed_way,
)
from harness.report.claims.load import load_claims
from harness.report.claims.sensitivity import Sensitivity, sensitivity
from harness.report.claims.values import Counts, Curves, MapsOf, Measured, Stored
from harness.report.figures.results import Results
from harness.report.tables.cells import find
from harness.report.tables.expected import expected_configs
from harness.report.tables.printed_gains import PrintedGain, printed_gains
from harness.report.tables.table_file import PAPER, paper_tables
from harness.report.tables.timings import Machine
from harness.stats.tests import interval
from harness.stats.verdicts import Asked, decide, mean_gap
from harness.store.queries import curve
from harness.store.records import Snapshot
from harness.trial.counts import counts_of

_KEPT = {"result": "result", "curve": "curve", "artifact": "map", "measure": "measure", "timing": "timing",
         "cost": "count"}  # fmt: skip


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
    unit: str  # of the quantity
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
    interval: tuple[float, float] | None  # of the effect: 95 % by Student's t; of times least and most of the sessions
    p: float | None  # one-sided, that the claim holds, after Holm's correction
    p_against: float | None  # the same, that it fails
    smallest_p: float | None  # that so many seeds can give either, the other tests of its family as they are
    why: str
    draws: int | None = None  # choices of signs that were drawn for either p; None: all were counted
    error: float | None = None  # the larger Monte-Carlo standard error of the two p, before Holm's correction
    beside: str = ""  # the effect on another quantity, which decides nothing
    awaits: str = ""  # what this version cannot do yet, so that it cannot be run
    changed: str = ""  # what of its family was settled after it was entered
    timed_on: str | None = None  # of times: device and threads, and the paper's device
    sessions: tuple[str, ...] = ()  # of times: when each session began
    elsewhere: str = ""  # of times: the effect on other devices, which decides nothing
    sensitivity: Sensitivity | None = None  # to a setting that the paper does not state; None where it was not varied
    exploratory: bool = False  # written after the results
    ours: str = ""  # why the sentence claims no outcome, so that the question is ours
    withdrawn: date | None = None
    withdrawn_because: str = ""
    replaced_by: str = ""  # the claim that reads its sentence now
    earlier: Verdict | None = None  # what the withdrawn reading gives


def findings(
    snapshot: Snapshot,
    claims: Claims,
    curves: Curves | None = None,
    maps: MapsOf | None = None,
    counts: Counts = counts_of,
) -> list[Finding]:
    """Return a finding for each claim, in order.

    Those on curves need `curves` (`store.queries.curve` of a uid), those on maps `maps` (of an attempt, as
    `figures.results.Results.maps`); `counts` gives the costs of a network that is not stored.
    """
    stored = Stored(snapshot, curves or (lambda _: ()), maps or (lambda _: None), counts)
    return [finding for family in claims.families for finding in _family(stored, family)]


def findings_of(results: Results, paper: Path = PAPER) -> list[Finding]:
    """Return a finding for each claim of a paper, from what is stored, curves and maps too."""
    return findings(results.snapshot, load_claims(paper=paper), partial(curve, results.store), results.maps)


def gains(snapshot: Snapshot, paper: Path = PAPER) -> list[PrintedGain]:
    """Return the gains that a paper's tables print beside ours: exploratory."""
    tables = [table for n in paper_tables(paper) if (table := paper_table(n, paper)).match == "by configuration"]
    return [
        gain
        for table in tables
        for gain in printed_gains(snapshot, table, find(snapshot, table, expected_configs(table)))
    ]


def _family(stored: Stored, family: Family) -> list[Finding]:
    measured = [stored.measure(family, claim) for claim in family.claims]
    tested = [m for m in measured if m.claim.test == "sign_flip"]
    asked = {m.claim.id: Asked(question_of(m.claim), m.gaps, _counted(m)) for m in tested}
    decisions = decide(asked, family.alpha)
    found = []
    for m in measured:
        if not m.gaps:
            outcome = _Outcome("not run", _lacking(family, m))
        elif m.claim.test == "sign_flip":
            outcome = _Outcome(**vars(decisions[m.claim.id]))
        else:
            outcome = _counts(m) if m.timed is None else _times(m)
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
    draws: int | None = None
    error: float | None = None


def _counts(m: Measured) -> _Outcome:
    """Decide a claim on counts, which do not vary."""
    return _Outcome("supported" if reaches(m.claim, m.gaps[0]) else "contradicted", "counts, no test of chance")


def _times(m: Measured) -> _Outcome:
    """Decide a claim on times by the sessions on one device, all of which must agree, and be enough."""
    n, reaching = len(m.gaps), sum(reaches(m.claim, gap) for gap in m.gaps)
    way = timed_way(m.claim, m.gaps)
    told = f"{reaching} of {n} session{'s' if n > 1 else ''} reach{'es' if reaching == n == 1 else ''} the bound"
    if way is not None:
        return _Outcome("supported" if way else "contradicted", f"{told}: descriptive, no test of chance")
    lacking = f"a verdict takes {SESSIONS}" if n < SESSIONS else "a verdict takes all of them"
    return _Outcome("undecided", f"{told}; {lacking}; descriptive, no test of chance")


def _counted(m: Measured) -> str:
    """Return "4 seeds", and how many are stored, where some runs lack what is measured."""
    seeds = "1 seed" if len(m.gaps) == 1 else f"{len(m.gaps)} seeds"
    return seeds if m.runs <= len(m.gaps) else f"{seeds} (of {m.runs} stored; the others kept nothing of it here)"


def _lacking(family: Family, m: Measured) -> str:
    """Say what is not stored, and how many seeds it takes."""
    if m.claim.test == "arithmetic" and not family.awaits:
        return f"no count is known of {' and of '.join(m.missing)}"
    if family.awaits:
        return f"this version cannot run it: it awaits {family.awaits}"
    kept = _KEPT[family.quantities[m.claim.quantity].source]
    if m.claim.test == "timing":
        return f"no timing of {' and '.join(m.missing)} on one device in one session is stored"
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
        unit=quantity.unit,
        test=claim.test,
        rule=rule(claim, family.alpha, outcome.draws),
        entered=claim.entered,
        known=claim.known,
        verdict="withdrawn" if claim.withdrawn else outcome.verdict,
        scale=claim.scale,
        effect=effect_of(claim, middle(claim, m.gaps)) if m.gaps else None,
        needed=claim.effect,
        matters=bound_of(claim),
        because=claim.reason,
        seeds=m.seeds,
        interval=_interval(m),
        p=outcome.p,
        p_against=outcome.p_against,
        smallest_p=outcome.smallest_p,
        draws=outcome.draws,
        error=outcome.error,
        why="; ".join([outcome.why, *(f"some of it was {remark}" for remark in m.remarks)]),
        beside=beside,
        awaits=family.awaits,
        changed=family.changed,
        timed_on=_timed_on(family, m),
        sessions=m.timed.sessions if m.timed is not None else (),
        elsewhere=_elsewhere(m),
        sensitivity=depends,
        exploratory=family.exploratory,
        ours=claim.ours,
        withdrawn=claim.withdrawn,
        withdrawn_because=claim.withdrawn_because,
        replaced_by=claim.replaced_by,
        earlier=outcome.verdict if claim.withdrawn else None,
    )


def _interval(m: Measured) -> tuple[float, float] | None:
    """Return the interval of an effect, on the claim's scale: of times the least and the most of several sessions; None
    of counts, and of one seed or session.
    """
    found = interval(m.gaps) if m.claim.test == "sign_flip" else None
    if m.timed is not None and len(m.gaps) > 1:
        found = min(m.gaps), max(m.gaps)
    return None if found is None else (effect_of(m.claim, found[0]), effect_of(m.claim, found[1]))


def _timed_on(family: Family, m: Measured) -> str | None:
    """Return "AMD EPYC (AVX2, 2 cores), 2 threads (the paper: NVIDIA GeForce GTX 1070)" of times."""
    if m.timed is None:
        return None
    papers = None if family.table is None else paper_table(family.table, family.paper).device
    here = _machine_text(m.timed.machine)
    return here if papers is None else f"{here} (the paper: {papers})"


def _machine_text(machine: Machine) -> str:
    device, threads = machine
    return f"{device}, {threads} thread{'s' if threads > 1 else ''}"


def _elsewhere(m: Measured) -> str:
    """Return "1.2, 1.25 on AMD EPYC (AVX2, 2 cores), 2 threads": a ratio per session on each other device."""
    found = m.timed.elsewhere if m.timed is not None else ()
    each = [([f"{effect_of(m.claim, gap):.3g}" for gap in gaps], _machine_text(machine)) for machine, gaps in found]
    return " and ".join(f"{', '.join(values)} on {machine}" for values, machine in each)
