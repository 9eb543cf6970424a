"""What was found, in at most five sentences, each with a word before it that says on what: the first thing on the page.

Nothing of them is written by hand: they count findings, or say what a study's claims came to.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.claims.claim import VERDICTS, Verdict
from harness.report.claims.findings import Finding
from harness.report.claims.study_claims import StudyFinding
from harness.report.claims.study_words import effect_words, verdict_of
from harness.report.html.anchors import claim_id
from harness.report.html.findings import Found
from harness.report.html.forest import Panel
from harness.report.tables.printed_gains import gains_words
from harness.report.tables.statistics_table import p_text

MOST = 5
_DECIDED: tuple[Verdict, ...] = ("contradicted", "too small", "supported")


@dataclass(frozen=True)
class Answer:
    """A sentence, the word before it, the verdict that colours this word, and where on the page there is more."""

    head: str
    text: str
    verdict: str = ""
    target: str = ""


def answers(found: Found, panels: Sequence[Panel]) -> list[Answer]:
    """Return what the page opens with: of a paper by kinds of tests, of studies claim by claim, else that nothing was
    claimed and is only described, if there is anything.
    """
    if found.papers:
        return _of_paper(found)[:MOST]
    if found.studies:
        return _of_studies(found.studies)
    return [Answer("No claims", "None was written down, so nothing is decided: this describes.")] if panels else []


def _of_paper(found: Found) -> list[Answer]:
    """Return what came of a paper's claims by kinds of tests, and of the claims of studies; the least telling last."""
    standing = [f for f in found.papers if f.verdict != "withdrawn" and not f.exploratory]
    ran = {test: [f for f in standing if f.test == test and f.verdict != "not run"] for test in ("sign_flip", "timing")}
    counts = [f for f in standing if f.test == "arithmetic" and f.verdict != "not run"]
    waiting = [f for f in standing if f.verdict == "not run"]
    gains = found.gains
    made = [Answer("Gains", f"{gains_words(gains)} Written after the results: exploratory.")] if gains else []
    if ran["sign_flip"]:
        made.append(Answer("Over seeds", _counted(ran["sign_flip"], "tested")))
    made += _of_studies(found.studies, most=1)
    if counts:
        made.append(Answer("Costs", _counted(counts, "on parameters and FLOPs, which do not vary")))
    if waiting:
        places = ", ".join(f"{name} ({n})" for name, n in Counter(f.about for f in waiting).most_common(3))
        made.append(Answer("Not run", f"{len(waiting)} of {len(standing)} claims, most of them on {places}."))
    if ran["timing"]:
        on = next((f.timed_on for f in ran["timing"] if f.timed_on), None)
        made.append(Answer("Times", _counted(ran["timing"], f"on {on}" if on else "on times")))
    return made


def _counted(found: Sequence[Finding], which: str) -> str:
    """Return "28 claims tested: 2 supported, 11 contradicted (7 on Table 1, 4 on Figs. 4 to 6), 15 undecided."."""
    parts = []
    for verdict in VERDICTS:
        of = [f for f in found if f.verdict == verdict]
        where = ", ".join(f"{n} on {about}" for about, n in Counter(f.about for f in of).most_common())
        count = "all" if len(of) == len(found) > 1 else len(of)
        parts += [f"{count} {verdict}{f' ({where})' if verdict == 'contradicted' else ''}"] if of else []
    return f"{len(found)} claim{'' if len(found) == 1 else 's'} {which}: {', '.join(parts)}."


def _of_studies(found: Sequence[StudyFinding], most: int = MOST) -> list[Answer]:
    """Return each claim that stands; of too many how many came out how, and the first that are decided."""
    standing = [f for f in found if f.withdrawn is None]
    if len(standing) <= most:
        return list(map(_of_claim, standing))
    each = ", ".join(f"{n} {word}" for word in VERDICTS if (n := sum(f.verdict == word for f in standing)))
    studies = ", ".join(dict.fromkeys(f.study for f in standing))
    count = Answer("Claims", f"{len(standing)} of {'study' if ',' not in studies else 'studies'} {studies}: {each}.")
    decided = sorted(
        (f for f in standing if f.verdict in _DECIDED and not f.exploratory), key=lambda f: _DECIDED.index(f.verdict)
    )
    return [count, *map(_of_claim, decided[: most - 1])]


def _of_claim(f: StudyFinding) -> Answer:
    effect = effect_words(f)
    against = f.verdict in {"contradicted", "too small"}
    p = f.p_against if against else f.p
    test = "" if p is None else f", p {'against it ' if against else ''}{p_text(p)}"
    return Answer(verdict_of(f), f"{f.title}: {f'{effect}{test}' if effect else f.why}.", f.verdict, claim_id(f))
