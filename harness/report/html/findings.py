"""What the page needs to know of a finding. Where there are none, the page has no such section."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.findings import Finding as Decided
from harness.report.findings_document import evidence, heading_of, verdict_of
from harness.report.misprints import Misprint


@dataclass(frozen=True)
class Finding:
    """A claim and what became of it."""

    group: str  # the heading that it stands under: "Table 1", "Misprints", "Inferences"
    title: str  # the claim, in a sentence
    verdict: str  # "supported", "contradicted", "undecided", "depends on ..."; "" where it is none of these
    summary: str  # the numbers that it rests on
    details: tuple[str, ...] = ()  # the quote, the test, what it depends on: a line each


def grouped(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """Return the findings under their headings, both in the order in which they were given."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding)
    return list(groups.items())


def on_the_page(decided: Sequence[Decided], misprints: Sequence[Misprint]) -> list[Finding]:
    """Return the claims by section, then where the paper disagrees, and inferences under a heading of their own."""
    claims = [
        Finding(
            heading_of(f),
            f.title,
            verdict_of(f),
            evidence(f),
            (f"“{f.quote}”, §{f.place}", f.reading, f"Measured: {f.quantity}", f"Rule: {f.rule}"),
        )
        for f in decided
    ]
    return [*claims, *(_entry(entry) for entry in sorted(misprints, key=lambda e: e.kind == "inference"))]


def _entry(entry: Misprint) -> Finding:
    group = "Inferences" if entry.kind == "inference" else "Where the paper disagrees with itself or with what it cites"
    checks = (f"{check.expression} gives {str(check.value).lower()}" for check in entry.checks)
    places = (f"{place.where}: “{place.says}”" for place in entry.places)
    return Finding(group, f"{entry.number} ({entry.kind})", "", entry.text, (*checks, *places))
