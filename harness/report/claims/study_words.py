"""What came of the claims of studies, in words: for `report findings`, below a study's table and on the page."""

import math
from collections.abc import Sequence

from harness.report.claims.claim import VERDICTS
from harness.report.claims.study_claims import StudyFinding
from harness.report.printing import number
from harness.report.render.markdown import escape
from harness.report.tables.statistics_table import p_text, seeds_text, signed
from harness.report.tables.table import NumberFormat
from harness.stats.tests import ALPHA

_UNSAID = {"", "fraction", "none"}  # units that go without saying
_MOST_DIGITS = 7


def study_markdown(found: Sequence[StudyFinding], *, long: bool = False) -> str:
    """Return the claims of studies, study by study, those that are in order and the withdrawn behind them: a line
    each; `long` with all that the verdict rests on.
    """
    lines = []
    for study in dict.fromkeys(f.study for f in found):
        of = [f for f in found if f.study == study]
        lines += [f"# Claims of study {study}", "", summary(of), ""]
        for f in of:
            claim = f"- **{verdict_of(f)}**: {escape(f.title)} ({f.id})"
            if not long:
                look = f"; {look_words(f)}" if f.looks else ""
                lines.append(f"{claim}: {escape(effect_words(f) or f.why)}{look}")
                continue
            reason = [f"Why this much: {f.reason}."] if f.reason else []
            lines += [claim, *(f"  {escape(part)}" for part in (*reason, evidence(f)))]
        lines.append("")
    return "\n".join(lines)


def effect_words(f: StudyFinding) -> str:
    """Return a claim's effect with its interval; "" if nothing is known."""
    return effect_text(f.effect, f.interval, f.unit)


def effect_text(effect: float | None, ends: tuple[float, float] | None, unit: str, *, ratio: bool = False) -> str:
    """Return "+0.0131 [+0.0078, +0.0183]" as tables print it, of a ratio "×1.11 [1.01, 1.22]"; "" of no effect.

    Half the interval has two digits; three have the counts that have none.
    """
    if effect is None:
        return ""
    last = _exponent(effect) - 2 if ends is None else _exponent((ends[1] - ends[0]) / 2) - 1
    form = NumberFormat(digits=max(0, min(-last, _MOST_DIGITS)))
    words = number if ratio else signed
    interval = "" if ends is None else f" [{', '.join(words(end, form) for end in ends)}]"
    after = "" if ratio or unit in _UNSAID else f" {unit}"
    return f"{'×' if ratio else ''}{words(effect, form)}{interval}{after}"


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0


def summary(found: Sequence[StudyFinding]) -> str:
    """Return "3 claims: 1 supported, 2 undecided." of a study, and what of them is exploratory or withdrawn."""
    standing = [f for f in found if f.withdrawn is None]
    each = ", ".join(f"{n} {word}" for word in VERDICTS if (n := sum(f.verdict == word for f in standing)))
    parts = [f"{_claims(len(standing))}{': ' if each else ''}{each}."]
    if late := sum(f.exploratory for f in standing):
        are = "is" if late == 1 else "are"
        parts.append(f"{late} {are} exploratory, entered when results were known: only new seeds confirm.")
    if withdrawn := len(found) - len(standing):
        parts.append(f"{withdrawn} withdrawn, shown with what {'it' if withdrawn == 1 else 'they'} gave.")
    return " ".join(parts)


def evidence(f: StudyFinding) -> str:
    """Return on what a verdict rests, in a sentence, as plain text."""
    parts = [_withdrawn(f) + f.why]
    if f.effect is not None:
        level = "95%, repeated" if f.looks else "95%"
        ends = "" if f.interval is None else f" [{f.interval[0]:+.3g}, {f.interval[1]:+.3g}] ({level})"
        pairs = f", the mean of {len(f.pairs)} pairs of trials" if len(f.pairs) > 1 else ""
        unit = "" if f.unit in _UNSAID else f" {f.unit}"
        parts.append(f"difference {f.effect:+.4g}{unit}{ends}, {_seeds(f.seeds)}{pairs}")
    if f.looks:
        parts += _looks(f)
    elif f.p is not None and f.p_against is not None:
        parts.append(
            f"p for the claim {p_text(f.p)}, against it {p_text(f.p_against)} (one-sided, after Holm over"
            f" {_claims(f.tests)})"
        )
    if not f.looks and f.p_all is not None and f.p_against_all is not None and f.tests_all != f.tests:
        parts.append(f"over all {_claims(f.tests_all)} of the study {p_text(f.p_all)} and {p_text(f.p_against_all)}")
    if f.draws is not None and f.error is not None:
        parts.append(f"from {f.draws:,} random sign flips: the standard error of each p before Holm is {f.error:.1g}")
    if f.smallest_p is not None:
        parts.append(f"smallest attainable p {p_text(f.smallest_p)}")
    if f.paired_unlike:
        parts.append("the trials differ in protocol or data, so that runs of one seed share no more than that")
    parts.append(_entered(f))
    return "; ".join(parts) + "."


def _looks(f: StudyFinding) -> list[str]:
    """Return at which look a claim was decided, or how many there have been, and the sequential p."""
    at = ", ".join(map(str, f.looks))
    if not f.looked:
        return [f"looks at {at} seeds"]
    when = "decided at" if f.is_decided else "after"
    p, p_against = (f"above {ALPHA:g}" if p is None else p_text(p) for p in (f.p, f.p_against))
    return [
        f"{when} look {f.looks.index(f.looked) + 1} of {len(f.looks)} (at {at} seeds)",
        f"sequential p for the claim {p}, against it {p_against} (one-sided, over {_claims(f.tests)})",
    ]


def look_words(f: StudyFinding) -> str:
    """Return "at look 1 of 4 (10 seeds), sequential p 0.05" of a claim that is decided, else how far the looks are."""
    if not f.looked:
        return f"before its first look ({f.looks[0]} seeds)"
    look = f"look {f.looks.index(f.looked) + 1} of {len(f.looks)} ({f.looked} seeds)"
    p = f.p if f.verdict == "supported" else f.p_against
    return f"at {look}, sequential p {p_text(p)}" if f.is_decided and p is not None else f"after {look}"


def _claims(number: int) -> str:
    return f"{number} claim{'' if number == 1 else 's'}"


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {seeds_text(seeds)}"


def _entered(f: StudyFinding) -> str:
    at = "" if f.commit is None else f" at commit {f.commit[:10]}{' with changes' if f.dirty else ''}"
    known = f"knowing {_seeds(f.known)}" if f.known else "before any result"
    again = "" if f.entered_again is None else f", withdrawn and entered again {_time(f.entered_again)}"
    return f"entered {_time(f.entered)}{at}{again}, {known}"


def _time(text: str) -> str:
    """Return "2026-11-30 07:06" (UTC)."""
    return text[:16].replace("T", " ")


def _withdrawn(f: StudyFinding) -> str:
    if f.withdrawn is None:
        return ""
    what = "edited: the claim of its name above replaces it" if f.replaced else "no longer in the study"
    then = (
        f"seed{'' if len(f.known_then) == 1 else 's'} {seeds_text(f.known_then)} known"
        if f.known_then
        else "nothing known"
    )
    return f"withdrawn {_time(f.withdrawn)} ({what}), {then}: "


def qualifiers(f: StudyFinding) -> list[str]:
    """Return what a reader must know of a verdict."""
    if f.verdict == "withdrawn":
        return [f"was {f.earlier}"]
    return ["exploratory"] if f.exploratory else []


def verdict_of(f: StudyFinding) -> str:
    """Return a verdict with what a reader must know of it: "supported (exploratory)"."""
    words = qualifiers(f)
    return f"{f.verdict} ({'; '.join(words)})" if words else f.verdict


def line_of(f: StudyFinding) -> str:
    """Return a finding as one line, as it is listed below a study's table."""
    why = f" Why this much: {f.reason}." if f.reason else ""
    return f"{verdict_of(f)}: {f.title} ({f.id}): {evidence(f)}{why}"
