"""What the page needs to know of a finding. Where there are none, the page has no such section."""

from collections.abc import Sequence
from dataclasses import dataclass


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
