"""A study's claims as a forest plot: each difference with its interval, beside what is too small to matter."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.claims.claim import Verdict
from harness.report.claims.study_claims import StudyFinding, study_findings
from harness.report.figures.results import Results
from harness.report.figures.style import COLOURS, GREY, Drawn, file_name, new_figure

_SHOWN: dict[Verdict, tuple[str, str]] = {
    "supported": (COLOURS[2], "o"),
    "too small": (COLOURS[4], "D"),
    "contradicted": (COLOURS[1], "X"),
    "undecided": (GREY, "s"),
}


def claims_figures(results: Results, study: str) -> list[Drawn]:
    """Draw the claims of a study that stand and of which differences are known, a figure per metric and evaluation.

    None for a study without any.
    """
    found = [f for f in study_findings(results.snapshot, study) if f.withdrawn is None and f.effect is not None]
    places = list(dict.fromkeys((f.metric, f.unit, f.on) for f in found))
    return [_figure(study, place, [f for f in found if (f.metric, f.unit, f.on) == place]) for place in places]


def _figure(study: str, place: tuple[str, str, str], found: Sequence[StudyFinding]) -> Drawn:
    metric, unit, on = place
    figure = new_figure(6.4, 0.9 + 0.3 * len(found))
    axes = figure.subplots()
    for row, finding in enumerate(found):
        _draw(axes, row, finding)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(found)), [f"{f.id} *" if f.exploratory else f.id for f in found])
    axes.set_ylim(len(found) - 0.4, -0.6)  # the first on top
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"difference in {metric}{f' [{unit}]' if unit not in {'', 'fraction'} else ''}")
    verdicts = [verdict for verdict in _SHOWN if any(f.verdict == verdict for f in found)]
    handles = [Line2D([], [], color=c, marker=m, linestyle="") for c, m in (_SHOWN[verdict] for verdict in verdicts)]
    figure.legend(handles, verdicts, loc="outside lower left", ncols=len(verdicts))
    late = " *: exploratory, entered when results were known." if any(f.exploratory for f in found) else ""
    return Drawn(
        file_name("claims", study, metric, *([on] if on else [])),
        f"Claims in {metric}{f' ({on})' if on else ''}, study {study}",
        "Each point is the mean over the seeds of a minus b, with its 95% interval by Student's t; the tests are exact"
        f" and have the last word. Grey: smaller than what the claim says matters.{late}",
        figure,
    )


def _draw(axes: Axes, row: int, finding: StudyFinding) -> None:
    """Draw a claim's difference in its row, and behind it what is too small to matter."""
    axes.barh(row, 2 * finding.by, left=-finding.by, height=0.7, color="#ececec", zorder=0)
    colour, marker = _SHOWN.get(finding.verdict, (GREY, "s"))
    if finding.interval is not None:
        axes.plot(finding.interval, (row, row), color=colour, linewidth=1.6)
    axes.plot([finding.effect or 0.0], [row], color=colour, marker=marker, markersize=5)
