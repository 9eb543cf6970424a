"""The findings as Markdown and as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from harness.report.findings import Finding
from harness.report.misprints import Misprint
from harness.report.render.markdown import escape
from harness.report.statistics_table import p_text


def findings_json(found: Sequence[Finding], misprints: Sequence[Misprint]) -> str:
    """Return one object: `claims` (a list of findings) and `misprints` (a list, each with its checks' values)."""
    claims = [{k: _finite(v) for k, v in asdict(finding).items()} for finding in found]
    entries = [
        {**entry.model_dump(mode="json"), "values": [check.value for check in entry.checks]} for entry in misprints
    ]
    return json.dumps({"claims": claims, "misprints": entries}, ensure_ascii=False, indent=2) + "\n"


def findings_markdown(found: Sequence[Finding], misprints: Sequence[Misprint]) -> str:
    """Return the claims by section, the disagreements, and the inferences under their own heading."""
    lines = ["# Findings", "", _counted(found), ""]
    for table, section in dict.fromkeys((f.table, f.section) for f in found):
        lines += [f"## Section {section}, Table {table}", ""]
        for finding in (f for f in found if f.table == table):
            lines += [f"- **{finding.verdict}** ({finding.id}): {escape(finding.reading)}", f"  {evidence(finding)}"]
        lines.append("")
    lines += ["## Where the paper disagrees with itself or with the works it cites", ""]
    lines += [line for entry in misprints if entry.kind != "inference" for line in _entry(entry)]
    lines += ["", "## Inferences", ""]
    lines += [line for entry in misprints if entry.kind == "inference" for line in _entry(entry)]
    return "\n".join(lines) + "\n"


def _counted(found: Sequence[Finding]) -> str:
    words = ("supported", "contradicted", "undecided", "not run")
    each = ", ".join(f"{sum(f.verdict == word for f in found)} {word}" for word in words)
    return f"{len(found)} claims: {each}."


def evidence(finding: Finding) -> str:
    """Return on what a verdict rests, in a sentence."""
    parts = [escape(finding.why)]
    if finding.effect is not None:
        parts.append(f"effect {finding.effect:.4g} (smallest that matters {finding.needed:.4g})")
    if finding.p is not None:
        parts.append(f"p {p_text(finding.p)} one-sided after Holm, over {len(finding.seeds)} seeds")
    if finding.smallest_p is not None:
        parts.append(f"smallest attainable p {p_text(finding.smallest_p)}")
    return "; ".join(parts) + "."


def _entry(entry: Misprint) -> list[str]:
    lines = [f"- {entry.number} ({entry.kind}): {escape(entry.text)}"]
    lines += [f"  - `{check.expression}` gives {str(check.value).lower()}" for check in entry.checks]
    return [*lines, *(f"  - {escape(place.where)}: “{escape(place.says)}”" for place in entry.places)]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
