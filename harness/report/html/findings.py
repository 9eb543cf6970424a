"""What the page needs to know of a finding. Where there are none, the page has no such section.

What was decided is shown; what is undecided or not run is counted, and opens on demand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.claims import study_words
from harness.report.claims.claim import VERDICTS, Verdict
from harness.report.claims.document import EXPLORATORY, evidence, heading_of, qualifiers, reading
from harness.report.claims.findings import Finding
from harness.report.claims.misprints import Misprint
from harness.report.claims.study_claims import StudyFinding
from harness.report.tables.printed_gains import PrintedGain, gain_lines


@dataclass(frozen=True)
class Entry:
    """A claim and what became of it, or something else that is among them."""

    group: str  # the heading that it is under: "Table 1", "Misprints", "Inferences"
    title: str  # the claim, in a sentence
    verdict: Verdict | None  # None if it is not a claim
    summary: str  # the numbers that it rests on
    details: tuple[str, ...] = ()  # the quote, the test, what it depends on: a line each
    qualifiers: tuple[str, ...] = ()  # of the verdict: "depends on kernels"


_FOLDED = ("undecided", "not run", "withdrawn")


@dataclass(frozen=True)
class Group:
    """The findings under one heading: in sight, or folded away by verdict."""

    id: str
    name: str
    counts: Mapping[str, int]  # by verdict; empty if its entries have none
    shown: tuple[Entry, ...]
    folded: tuple[tuple[str, tuple[Entry, ...]], ...]


def grouped(entries: Sequence[Entry]) -> list[Group]:
    """Return the findings under their headings, both in the order in which they were given."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.group, []).append(entry)
    return [_group(f"findings-{number}", name, members) for number, (name, members) in enumerate(found.items(), 1)]


def verdicts(groups: Sequence[Group]) -> list[str]:
    """Return the verdicts that there are, in order."""
    return [verdict for verdict in VERDICTS if any(group.counts.get(verdict) for group in groups)]


def _group(place: str, name: str, members: Sequence[Entry]) -> Group:
    by: dict[str, tuple[Entry, ...]] = {
        verdict: tuple(f for f in members if f.verdict == verdict) for verdict in VERDICTS
    }
    counts = {verdict: len(own) for verdict, own in by.items()} if any(by.values()) else {}
    folded = tuple((verdict, by[verdict]) for verdict in _FOLDED if by[verdict])
    return Group(place, name, counts, tuple(f for f in members if f.verdict not in _FOLDED), folded)


def on_the_page(
    decided: Sequence[Finding],
    misprints: Sequence[Misprint],
    gains: Sequence[PrintedGain] = (),
    of_studies: Sequence[StudyFinding] = (),
) -> list[Entry]:
    """Return the claims of studies; those of the paper by section, what is exploratory last; then where the paper
    disagrees, and inferences under a heading of their own.
    """
    own = [
        Entry(
            f"Study {f.study}",
            f"{f.title} ({f.id})",
            f.verdict,
            study_words.evidence(f),
            tuple(filter(None, [f.reason and f"Why this much: {f.reason}", f.on and f"Measured on {f.on}"])),
            tuple(study_words.qualifiers(f)),
        )
        for f in of_studies
    ]
    claims = [
        Entry(
            heading_of(f),
            f.title,
            f.verdict,
            evidence(f),
            (
                f"“{f.quote}”, §{f.place}",
                reading(f),
                f"Measured: {f.quantity}",
                f"Rule: {f.rule}",
                *([f"Changed {f.changed}"] if f.changed else []),
            ),
            tuple(qualifiers(f)),
        )
        for f in sorted(decided, key=lambda f: f.exploratory)
    ]
    printed = [
        Entry(
            f"{EXPLORATORY}: printed gains", f"Table {table}, printed gains beside ours", None, lines[-1], tuple(lines)
        )
        for table in dict.fromkeys(gain.table for gain in gains)
        if (lines := gain_lines([gain for gain in gains if gain.table == table]))
    ]
    return [
        *own,
        *claims,
        *printed,
        *(_entry(entry) for entry in sorted(misprints, key=lambda e: e.kind == "inference")),
    ]


def _entry(entry: Misprint) -> Entry:
    group = "Inferences" if entry.kind == "inference" else "Where the paper disagrees with itself or with what it cites"
    checks = (f"{check.expression} gives {str(check.value).lower()}" for check in entry.checks)
    places = (f"{place.where}: “{place.says}”" for place in entry.places)
    return Entry(group, f"{entry.number} ({entry.kind})", None, entry.text, (*checks, *places))
