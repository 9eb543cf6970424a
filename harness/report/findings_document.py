"""The findings as Markdown and as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.report.claim import Untested
from harness.report.findings import VERDICTS, Finding
from harness.report.misprints import Misprint
from harness.report.render.markdown import escape
from harness.report.statistics_table import p_text


def findings_json(found: Sequence[Finding], misprints: Sequence[Misprint], untested: Sequence[Untested] = ()) -> str:
    """Return one object: `claims` (a list of findings), `misprints` (a list, each with its checks' values) and
    `untested` (sentences without a test).
    """
    claims = [
        {**{k: _finite(v) for k, v in asdict(finding).items()}, "depends_on": depends_on(finding)} for finding in found
    ]
    entries = [
        {**entry.model_dump(mode="json"), "values": [check.value for check in entry.checks]} for entry in misprints
    ]
    without = [entry.model_dump(mode="json") for entry in untested]
    whole = {"claims": claims, "misprints": entries, "untested": without}
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def findings_markdown(
    found: Sequence[Finding], misprints: Sequence[Misprint], untested: Sequence[Untested] = ()
) -> str:
    """Return the claims by section, the sentences without a test, the disagreements, and the inferences under their
    own heading.
    """
    lines = ["# Findings", "", _counted(found), "", *_overview(found), ""]
    for heading in dict.fromkeys(map(heading_of, found)):
        lines += [f"## {escape(heading)}", ""]
        for finding in (f for f in found if heading_of(f) == heading):
            lines += [f"- **{verdict_of(finding)}**: {escape(finding.title)} ({finding.id})"]
            lines += [f"  {escape(evidence(finding))}", f"  {escape(finding.reading)} (§{finding.place})"]
        lines.append("")
    if untested:
        lines += ["## Sentences that claim something, without a test", ""]
        lines += [f"- §{e.place}: “{escape(e.quote)}”: {escape(e.why)}." for e in untested]
        lines.append("")
    lines += ["## Where the paper disagrees with itself or with the works it cites", ""]
    lines += [line for entry in misprints if entry.kind != "inference" for line in _entry(entry)]
    lines += ["", "## Inferences", ""]
    lines += [line for entry in misprints if entry.kind == "inference" for line in _entry(entry)]
    return "\n".join(lines) + "\n"


def heading_of(finding: Finding) -> str:
    """Return the heading that a finding stands under."""
    return f"Section {finding.section}, {finding.about}"


def depends_on(finding: Finding) -> str | None:
    """Return "depends on: …" where another value of a setting that the paper does not state reverses the claim."""
    return str(finding.sensitivity) if finding.sensitivity is not None and finding.sensitivity.flips else None


def verdict_of(finding: Finding) -> str:
    """Return a verdict, with the setting that would turn it: "supported (depends on optimiser)"."""
    if finding.sensitivity is None or not finding.sensitivity.flips:
        return finding.verdict
    return f"{finding.verdict} (depends on {finding.sensitivity.setting})"


def _counted(found: Sequence[Finding]) -> str:
    each = ", ".join(f"{sum(f.verdict == word for f in found)} {word}" for word in VERDICTS)
    turned = sum(depends_on(f) is not None for f in found)
    flips = f" {turned} of them depend on a setting that the paper does not state." if turned else ""
    return f"{len(found)} claims: {each}.{flips}"


def _overview(found: Sequence[Finding]) -> list[str]:
    """Return a table: how many claims of each section came out how."""
    lines = [f"| Claims | {' | '.join(VERDICTS)} |", f"| --- |{' ---: |' * len(VERDICTS)}"]
    for heading in dict.fromkeys(map(heading_of, found)):
        of = [f.verdict for f in found if heading_of(f) == heading]
        lines.append(f"| {escape(heading)} | {' | '.join(str(of.count(word) or '–') for word in VERDICTS)} |")
    return lines


def evidence(finding: Finding) -> str:
    """Return on what a verdict rests, in a sentence, as plain text."""
    parts = [finding.why]
    if finding.effect is not None:
        parts.append(f"effect {finding.effect:.4g} (smallest that matters {finding.needed:.4g})")
    if finding.p is not None:
        parts.append(f"p {p_text(finding.p)} one-sided after Holm, over {len(finding.seeds)} seeds")
    if finding.smallest_p is not None:
        parts.append(f"smallest attainable p {p_text(finding.smallest_p)}")
    if finding.sensitivity is not None:
        parts.append(str(finding.sensitivity))
    return "; ".join(parts) + "."


def _entry(entry: Misprint) -> list[str]:
    lines = [f"- {entry.number} ({entry.kind}): {escape(entry.text)}"]
    lines += [f"  - `{check.expression}` gives {str(check.value).lower()}" for check in entry.checks]
    return [*lines, *(f"  - {escape(place.where)}: “{escape(place.says)}”" for place in entry.places)]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
