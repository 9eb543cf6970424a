"""The findings as Markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from harness.report.claims.claim import VERDICTS, Untested
from harness.report.claims.findings import Finding
from harness.report.claims.misprints import Misprint
from harness.report.claims.study_claims import StudyFinding
from harness.report.claims.study_words import effect_text
from harness.report.render.machines import json_text
from harness.report.render.markdown import escape
from harness.report.tables.printed_gains import PrintedGain, gain_lines
from harness.report.tables.statistics_table import p_text
from harness.stats.tests import ALPHA


def findings_json(
    found: Sequence[Finding],
    misprints: Sequence[Misprint],
    untested: Sequence[Untested] = (),
    gains: Sequence[PrintedGain] = (),
    of_studies: Sequence[StudyFinding] = (),
) -> str:
    """Return one object: `claims` (a list of findings), `printed_gains` (exploratory), `misprints` (a list, each with
    its checks' values), `untested` (sentences without a test) and `study_claims` (those of studies, if there are any).
    """
    claims = [
        {
            **asdict(finding),
            "entered": finding.entered.isoformat(),
            "withdrawn": None if finding.withdrawn is None else finding.withdrawn.isoformat(),
            "depends_on": depends_on(finding),
        }
        for finding in found
    ]
    entries = [
        {**entry.model_dump(mode="json"), "values": [check.value for check in entry.checks]} for entry in misprints
    ]
    without = [entry.model_dump(mode="json") for entry in untested]
    printed = [asdict(gain) for gain in gains]
    whole = {"claims": claims, "printed_gains": printed, "misprints": entries, "untested": without}
    return json_text({**whole, **({"study_claims": list(map(asdict, of_studies))} if of_studies else {})})


def findings_markdown(
    found: Sequence[Finding],
    misprints: Sequence[Misprint],
    untested: Sequence[Untested] = (),
    gains: Sequence[PrintedGain] = (),
    *,
    long: bool = False,
) -> str:
    """Return the claims by section, what is exploratory behind them: each on a line with its verdict, effect and
    interval, and what the other form adds.

    `long` says of each claim its reading and all that its verdict rests on, and adds withdrawn readings, printed gains,
    the sentences without a test, the disagreements, and the inferences under their own heading.
    """
    if not long:
        return _short(found, misprints, untested, gains)
    confirming, exploring = [f for f in found if not f.exploratory], [f for f in found if f.exploratory]
    lines = ["# Findings", "", summary(found), "", _ENTERED, "", *_overview(confirming), "", *_by_heading(confirming)]
    if exploring or gains:
        lines += [f"## {EXPLORATORY}", "", _EXPLORING, ""]
        lines += [*_overview(exploring), ""] if exploring else []
        lines += _printed_gains(gains, confirming)
        lines += _by_heading(exploring, level=3)
    if untested:
        lines += ["## Statements without a test of their own", ""]
        lines += [f"- §{e.place}: “{escape(e.quote)}”: {escape(e.why)}{_tested_by(e)}." for e in untested]
        lines.append("")
    if misprints:
        lines += ["## Where the paper disagrees with itself or with the works it cites", ""]
        lines += [line for entry in misprints if entry.kind != "inference" for line in _entry(entry)]
        lines += ["", "## Inferences", ""]
        lines += [line for entry in misprints if entry.kind == "inference" for line in _entry(entry)]
    return "\n".join(lines) + "\n"


def _short(
    found: Sequence[Finding], misprints: Sequence[Misprint], untested: Sequence[Untested], gains: Sequence[PrintedGain]
) -> str:
    lines = ["# Findings", "", summary(found), "", f"{READ_AS} {_behind_long(found, misprints, untested)}", ""]
    shown = [f for f in found if f.verdict != "withdrawn"]
    for heading in dict.fromkeys(heading_of(f) for f in sorted(shown, key=lambda f: f.exploratory)):
        lines += [f"## {escape(heading)}", ""]
        for f in (f for f in shown if heading_of(f) == heading):
            effect = effect_words(f)
            lines.append(f"- **{verdict_of(f)}**: {escape(f.title)}{f': {effect}' if effect else ''}")
        lines.append("")
    for table, of in _by_table(gains).items():
        conclusions = gain_lines(of, _tests_of(table, found))[1 + len(of) :]
        lines += [f"## {EXPLORATORY}: gains printed in Table {table}", "", escape(" ".join(conclusions)), ""]
    return "\n".join(lines)


READ_AS = (
    "+ and - are differences, × ratios, means over seeds with 95% intervals by Student's t; of times the median of"
    " several sessions, with the least and the most. The tests are exact and have the last word."
)


def _behind_long(found: Sequence[Finding], misprints: Sequence[Misprint], untested: Sequence[Untested]) -> str:
    """Return what `--long` adds, counted."""
    things = {
        "withdrawn reading": sum(f.verdict == "withdrawn" for f in found),
        "statement without a test": len(untested),
        "place where the paper disagrees with itself or its sources": sum(e.kind != "inference" for e in misprints),
        "inference": sum(e.kind == "inference" for e in misprints),
    }
    counted = ", ".join(_plural(count, thing) for thing, count in things.items() if count)
    more = f", and {counted}" if counted else ""
    return f"`harness report findings --long` has each claim's reading, test and p{more}."


def _plural(count: int, thing: str) -> str:
    first, _, rest = thing.partition(" ")
    if first in {"statement", "place"} and count != 1:  # the noun comes first
        return f"{count} {first}s {rest}"
    return _number(count, thing)


def effect_words(f: Finding) -> str:
    """Return a claim's effect with its interval; "" if nothing is known."""
    return effect_text(f.effect, f.interval, f.unit, ratio=f.scale == "ratio")


def _by_heading(found: Sequence[Finding], level: int = 2) -> list[str]:
    lines = []
    for heading in dict.fromkeys(map(heading_of, found)):
        of = [f for f in found if heading_of(f) == heading]
        lines += [f"{'#' * level} {escape(heading)}", ""]
        lines += [part for f in of[:1] if f.changed for part in (escape(f.changed), "")]
        for finding in of:
            lines += [f"- **{verdict_of(finding)}**: {escape(finding.title)} ({finding.id})"]
            lines += [f"  {escape(reading(finding))}", f"  {escape(evidence(finding))}"]
        lines.append("")
    return lines


def _printed_gains(gains: Sequence[PrintedGain], found: Sequence[Finding]) -> list[str]:
    """Return the printed gains of each table beside the gains of our runs."""
    lines = []
    for table, of in _by_table(gains).items():
        lines += [f"### Table {table}, the printed gains beside those of our runs", ""]
        lines += [f"- {escape(line)}" for line in gain_lines(of, _tests_of(table, found))]
        lines.append("")
    return lines


def _by_table(gains: Sequence[PrintedGain]) -> dict[int | str, list[PrintedGain]]:
    return {table: [g for g in gains if g.table == table] for table in dict.fromkeys(g.table for g in gains)}


def _tests_of(table: int | str, found: Sequence[Finding]) -> int | None:
    """Return the number of the tests over seeds of a table's claims, apart from what is exploratory; None of none."""
    return sum(f.table == table and f.test == "sign_flip" and not f.exploratory for f in found) or None


def _tested_by(entry: Untested) -> str:
    return f" ({', '.join(entry.tested_by)})" if entry.tested_by else ""


def heading_of(finding: Finding) -> str:
    """Return the heading that a finding is under."""
    return f"Section {finding.section}, {finding.about}"


def depends_on(finding: Finding) -> str | None:
    """Return "depends on: …" where another value of a setting turns the claim."""
    return str(finding.sensitivity) if finding.sensitivity is not None and finding.sensitivity.flips else None


def verdict_of(finding: Finding) -> str:
    """Return a verdict with what a reader must know of it: "supported (depends on optimiser)"."""
    words = qualifiers(finding)
    return f"{finding.verdict} ({'; '.join(words)})" if words else finding.verdict


def qualifiers(finding: Finding) -> list[str]:
    """Return what a reader must know of a verdict: whose question it is, and on what it depends."""
    if finding.verdict == "withdrawn":
        return [f"was {finding.earlier}"]
    words = ["exploratory"] if finding.exploratory else []
    words += ["a question of ours"] if finding.ours else []
    if finding.sensitivity is not None and finding.sensitivity.flips:
        words.append(f"depends on {finding.sensitivity.setting}")
    return words


_ENTERED = (
    "Each test carries the date on which it was written down, and names any results of its trials that were known by"
    " then. The paper gives no effect sizes, so the smallest effect that matters is our choice, with the reason stated."
    " *Contradicted* means that an effect large enough to matter is ruled out, *undecided* that neither the effect nor"
    " its absence is shown, and *withdrawn* that our reading was not what the sentence means; the reason and the result"
    " of that reading are kept."
)
EXPLORATORY = "Exploratory: written after the results"
_EXPLORING = (
    "These claims were written after the results that they are tested on were known. They describe those results and"
    " confirm nothing; only new seeds can. They are counted separately and change none of the corrections of the tests"
    " above."
)
_TESTS = {"arithmetic": "Counts", "timing": "Times, descriptive only", "sign_flip": "Tests over seeds"}


def summary(found: Sequence[Finding]) -> str:
    """Return how many tests came out how, by what decides them: counts, times (and where), tests over seeds."""
    everything = found
    found = [f for f in everything if f.verdict != "withdrawn" and not f.exploratory]
    quotes = len({finding.quote for finding in found if not finding.ours})
    ours = sum(bool(finding.ours) for finding in found)
    asked = f"; {ours} of them are questions of our own, on which the paper claims no outcome" if ours else ""
    parts = [f"{_number(len(found), 'test')} of {_number(quotes, 'statement')} in the paper{asked}."]
    for test, words in _TESTS.items():
        of = [f for f in found if f.test == test]
        each = ", ".join(f"{n} {word}" for word in VERDICTS if (n := sum(f.verdict == word for f in of)))
        parts += [f"{words} ({len(of)}): {each}.", *_on(of)] if of else []
        varied = [f.sensitivity for f in of if f.sensitivity is not None]
        parts += _on_settings([s.flips for s in varied if s.of_the_paper and s.tested])
        ours = sum(s.flips for s in varied if not s.of_the_paper)
        parts += [f"{ours} of them point the other way with our kernels than with plain PyTorch."] if ours else []
    waiting = [f for f in found if f.verdict == "not run" and f.awaits]
    if waiting:
        things = ", ".join(dict.fromkeys(f.awaits for f in waiting))
        need = "needs" if len(waiting) == 1 else "need"
        parts.append(f"{len(waiting)} of the tests not run {need} what this version cannot do yet: {things}.")
    return " ".join([*parts, *_apart(everything)])


def _apart(found: Sequence[Finding]) -> list[str]:
    """Return how many readings were withdrawn, and how many claims are exploratory, which the counts leave out."""
    withdrawn, exploring = sum(f.verdict == "withdrawn" for f in found), [f for f in found if f.exploratory]
    parts = []
    if withdrawn:
        were = "reading was" if withdrawn == 1 else "readings were"
        parts.append(f"{withdrawn} earlier {were} withdrawn; the reason and the result of each are kept.")
    if exploring:
        each = ", ".join(f"{n} {word}" for word in VERDICTS if (n := sum(f.verdict == word for f in exploring)))
        parts.append(f"Exploratory, written after the results and counted separately ({len(exploring)}): {each}.")
    return parts


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _on_settings(depend: Sequence[bool]) -> list[str]:
    """Return how many claims depend on a setting of the paper's, and how many would by chance: up to ALPHA each."""
    if not depend:
        return []
    count = sum(depend)
    repeated = "test was" if len(depend) == 1 else "tests were"
    varied = f"{len(depend)} {repeated} repeated with other values of a setting that the paper leaves open"
    on_it = f"{count or 'none'} depend{'s' if count < 2 else ''} on it"
    chance = f"seed noise alone would make up to {ALPHA * len(depend):.1f} seem to"
    return [f"{varied}: {on_it} ({chance})."]


def _on(found: Sequence[Finding]) -> list[str]:
    """Return a sentence on where times were measured, each place once; none if none were."""
    places = dict.fromkeys(f.timed_on for f in found if f.timed_on is not None)
    return [f"They were measured on {', and on '.join(places)}."] if places else []


def _overview(found: Sequence[Finding]) -> list[str]:
    """Return a table: how many claims of each section came out how."""
    words = [word for word in VERDICTS if any(f.verdict == word for f in found)]
    lines = [f"| Claims | {' | '.join(words)} |", f"| --- |{' ---: |' * len(words)}"]
    for heading in dict.fromkeys(map(heading_of, found)):
        of = [f.verdict for f in found if heading_of(f) == heading]
        lines.append(f"| {escape(heading)} | {' | '.join(str(of.count(word) or '–') for word in words)} |")
    return lines


def reading(finding: Finding) -> str:
    """Return what the test takes the paper to say, where, and from where an effect matters."""
    threshold = f"Smallest effect that matters, our choice: {finding.matters}; {finding.because}."
    return f"{finding.reading} (§{finding.place}) {threshold}"


def evidence(finding: Finding) -> str:
    """Return on what a verdict rests, in a sentence, as plain text."""
    parts = [_withdrawn(finding) + finding.why]
    if finding.ours:
        parts.append(f"a question of ours: {finding.ours}")
    if finding.effect is not None:
        parts.append(f"{finding.scale} {finding.effect:.4g}{_ends(finding)}; threshold: {finding.matters}")
    if finding.beside:
        parts.append(f"also measured, not part of the test: {finding.beside}")
    if finding.timed_on is not None:
        parts.append(f"on {finding.timed_on}")
    if finding.elsewhere:
        parts.append(f"elsewhere, not part of the test: {finding.elsewhere}")
    if finding.p is not None and finding.p_against is not None:
        both = f"p for the claim {p_text(finding.p)}, against it {p_text(finding.p_against)}"
        parts.append(f"{both} (one-sided, after Holm, {len(finding.seeds)} seeds)")
    if finding.draws is not None and finding.error is not None:
        by = f"from {finding.draws:,} random sign flips"
        parts.append(f"{by}: the standard error of each p before Holm is at most {finding.error:.1g}")
    if finding.smallest_p is not None:
        parts.append(f"smallest attainable p {p_text(finding.smallest_p)}")
    if finding.sensitivity is not None:
        parts.append(str(finding.sensitivity))
    parts.append(f"entered {finding.entered}{f', knowing {finding.known}' if finding.known else ''}")
    return "; ".join(parts) + "."


def _withdrawn(finding: Finding) -> str:
    """Return why a reading was withdrawn, before what it gave."""
    if finding.withdrawn is None:
        return ""
    instead = f"; instead: {finding.replaced_by}" if finding.replaced_by else ""
    return f"withdrawn {finding.withdrawn}: {finding.withdrawn_because}{instead}; the verdict was {finding.earlier}: "


def _ends(finding: Finding) -> str:
    """Return " [-0.001, 0.002] (95%)" of an effect over seeds, " [1.1, 1.3] (least and most of 5 sessions)" of
    times.
    """
    if finding.interval is None:
        return ""
    low, high = finding.interval
    of = f"least and most of {len(finding.sessions)} sessions" if finding.test == "timing" else "95%"
    return f" [{low:.3g}, {high:.3g}] ({of})"


def _entry(entry: Misprint) -> list[str]:
    lines = [f"- {entry.number} ({entry.kind}): {escape(entry.text)}"]
    lines += [f"  - `{check.expression}` gives {str(check.value).lower()}" for check in entry.checks]
    return [*lines, *(f"  - {escape(place.where)}: “{escape(place.says)}”" for place in entry.places)]
