"""What the page needs to know of a finding. Where there are none, the page has no such section.

What was decided is shown; what is undecided or not run is counted, and opens on demand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.claims.document import EXPLORATORY, evidence, heading_of, reading, verdict_of
from harness.report.claims.findings import VERDICTS
from harness.report.claims.findings import Finding as Decided
from harness.report.claims.misprints import Misprint
from harness.report.tables.printed_gains import PrintedGain, gain_lines


@dataclass(frozen=True)
class Finding:
    """A claim and what became of it."""

    group: str  # the heading that it stands under: "Table 1", "Misprints", "Inferences"
    title: str  # the claim, in a sentence
    verdict: str  # "supported", "contradicted (depends on ...)", "undecided" ...; "" where it is no claim
    summary: str  # the numbers that it rests on
    details: tuple[str, ...] = ()  # the quote, the test, what it depends on: a line each


_FOLDED = ("undecided", "not run", "withdrawn")


@dataclass(frozen=True)
class Group:
    """The findings under one heading: in sight, or folded away by verdict."""

    id: str
    name: str
    counts: Mapping[str, int]  # by verdict; empty where its entries have none
    shown: tuple[Finding, ...]
    folded: tuple[tuple[str, tuple[Finding, ...]], ...]


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """Return the findings under their headings, both in the order in which they were given."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.group, []).append(finding)
    return [_group(f"findings-{number}", name, members) for number, (name, members) in enumerate(found.items(), 1)]


def verdicts(groups: Sequence[Group]) -> list[str]:
    """Return the verdicts that there are, in order."""
    return [verdict for verdict in VERDICTS if any(group.counts.get(verdict) for group in groups)]


def _group(place: str, name: str, members: Sequence[Finding]) -> Group:
    by: dict[str, tuple[Finding, ...]] = {
        verdict: tuple(f for f in members if _kind(f) == verdict) for verdict in VERDICTS
    }
    counts = {verdict: len(own) for verdict, own in by.items()} if any(by.values()) else {}
    folded = tuple((verdict, by[verdict]) for verdict in _FOLDED if by[verdict])
    return Group(place, name, counts, tuple(f for f in members if _kind(f) not in _FOLDED), folded)


def _kind(finding: Finding) -> str:
    """Return the verdict without on what it depends."""
    return finding.verdict.partition(" (")[0]


def on_the_page(
    decided: Sequence[Decided], misprints: Sequence[Misprint], gains: Sequence[PrintedGain] = ()
) -> list[Finding]:
    """Return the claims by section, what is exploratory last; then where the paper disagrees, and inferences under a
    heading of their own.
    """
    claims = [
        Finding(
            heading_of(f),
            f.title,
            verdict_of(f),
            evidence(f),
            (
                f"“{f.quote}”, §{f.place}",
                reading(f),
                f"Measured: {f.quantity}",
                f"Rule: {f.rule}",
                *([f"Changed {f.changed}"] if f.changed else []),
            ),
        )
        for f in sorted(decided, key=lambda f: f.exploratory)
    ]
    printed = [
        Finding(
            f"{EXPLORATORY}: printed gains", f"Table {table}, printed gains beside ours", "", lines[-1], tuple(lines)
        )
        for table in dict.fromkeys(gain.table for gain in gains)
        if (lines := gain_lines([gain for gain in gains if gain.table == table]))
    ]
    return [*claims, *printed, *(_entry(entry) for entry in sorted(misprints, key=lambda e: e.kind == "inference"))]


def _entry(entry: Misprint) -> Finding:
    group = "Inferences" if entry.kind == "inference" else "Where the paper disagrees with itself or with what it cites"
    checks = (f"{check.expression} gives {str(check.value).lower()}" for check in entry.checks)
    places = (f"{place.where}: “{place.says}”" for place in entry.places)
    return Finding(group, f"{entry.number} ({entry.kind})", "", entry.text, (*checks, *places))
