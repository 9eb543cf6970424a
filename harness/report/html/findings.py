"""What the page needs to know of findings: a row per claim, with what its verdict rests on behind a click, and what
else there is to say of a paper. Where there are none, the page has no such section.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.claims import study_words
from harness.report.claims.claim import VERDICTS, Verdict
from harness.report.claims.document import effect_words, evidence, qualifiers, reading
from harness.report.claims.findings import Finding, findings_of, gains
from harness.report.claims.misprints import Misprint, load_misprints
from harness.report.claims.study_claims import StudyFinding, study_findings
from harness.report.figures.results import Results
from harness.report.html.anchors import claim_id
from harness.report.printing import MINUS
from harness.report.tables.printed_gains import PrintedGain, gain_lines


@dataclass(frozen=True)
class Found:
    """What came of claims: of the paper with its misprints and printed gains, and of studies."""

    papers: Sequence[Finding] = ()
    misprints: Sequence[Misprint] = ()
    gains: Sequence[PrintedGain] = ()
    studies: Sequence[StudyFinding] = ()


def found_in(results: Results, *, paper: bool) -> Found:
    """Return what came of the claims of studies, and of the `paper`."""
    studies = study_findings(results.snapshot)
    if not paper:
        return Found(studies=studies)
    return Found(findings_of(results), load_misprints(), gains(results.snapshot), studies)


@dataclass(frozen=True)
class Claimed:
    """A claim and what became of it: a row."""

    place: str  # its id on the page; "" of one that another of its name replaced
    about: str  # "Table 1", "Study parts"
    title: str
    verdict: Verdict
    qualifiers: tuple[str, ...]  # "depends on kernels"
    effect: str  # with its interval
    value: float | None  # by which a reader sorts
    details: tuple[str, ...]  # what the verdict rests on, the quote, the test: a line each

    @property
    def order(self) -> int:
        """The place of its verdict among all."""
        return VERDICTS.index(self.verdict)


@dataclass(frozen=True)
class Aside:
    """What is not a claim and is to be known: a misprint, an inference, printed gains. `text` is in sight."""

    group: str
    title: str
    text: str
    details: tuple[str, ...] = ()


def claimed(found: Found) -> list[Claimed]:
    """Return the claims of studies, then those of the paper, what is exploratory last."""
    papers = sorted(found.papers, key=lambda f: f.exploratory)
    return [*map(_of_study, found.studies), *map(_of_paper, papers)]


def _of_study(f: StudyFinding) -> Claimed:
    return Claimed(
        place="" if f.withdrawn else claim_id(f),
        about=f"Study {f.study}",
        title=f"{f.title} ({f.id})",
        verdict=f.verdict,
        qualifiers=tuple(study_words.qualifiers(f)),
        effect=study_words.effect_words(f),
        value=f.effect,
        details=(
            _minus(study_words.evidence(f)),
            *filter(None, [f.reason and f"Why this much: {f.reason}", f.on and f"Measured on {f.on}"]),
        ),
    )


def _of_paper(f: Finding) -> Claimed:
    return Claimed(
        place=claim_id(f),
        about=f.about.removeprefix("exploratory: "),
        title=f.title,
        verdict=f.verdict,
        qualifiers=tuple(qualifiers(f)),
        effect=effect_words(f),
        value=f.effect,
        details=(
            _minus(evidence(f)),
            f"“{f.quote}”, §{f.place}",
            _minus(reading(f)),
            f"Measured: {f.quantity}",
            _minus(f"Rule: {f.rule}"),
            *([f"Changed {f.changed}"] if f.changed else []),
        ),
    )


def _minus(text: str) -> str:
    """Return a text with the sign of its negative numbers as tables print it."""
    return re.sub(r"(?<![\w.])-(?=\d)", MINUS, text)


def verdicts(claims: Sequence[Claimed]) -> dict[str, int]:
    """Return how many claims have each verdict that there is, in order."""
    return {verdict: n for verdict in VERDICTS if (n := sum(claim.verdict == verdict for claim in claims))}


def asides(found: Found) -> dict[str, list[Aside]]:
    """Return what is not a claim, by its heading: printed gains, where the paper disagrees, inferences."""
    made = [
        Aside("Printed gains beside ours (exploratory)", f"Table {table}", lines[-2], tuple(lines))
        for table in dict.fromkeys(gain.table for gain in found.gains)
        if (lines := gain_lines([gain for gain in found.gains if gain.table == table]))
    ]
    made += map(_of_misprint, sorted(found.misprints, key=lambda entry: entry.kind == "inference"))
    return {group: [aside for aside in made if aside.group == group] for group in dict.fromkeys(a.group for a in made)}


def _of_misprint(entry: Misprint) -> Aside:
    group = "Inferences" if entry.kind == "inference" else "Where the paper disagrees with itself or with what it cites"
    checks = (f"{check.expression} gives {str(check.value).lower()}" for check in entry.checks)
    places = (f"{place.where}: “{place.says}”" for place in entry.places)
    return Aside(group, f"{entry.number} ({entry.kind})", entry.text, (*checks, *places))
