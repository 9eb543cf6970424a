"""A study's foremost metric against a number of its evaluations' condition, a line a trial: PSNR against σ."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from harness.attempt.metrics import Metric
from harness.report.figures.groups import Group, foremost, study_groups, study_names
from harness.report.figures.results import Results
from harness.report.figures.style import COLOURS, GREY, MARKERS, Drawn, NotDrawn, legend, new_figure
from harness.stats.tests import mean
from harness.store.find import values as known_results
from harness.store.records import EvaluationRecord

_MISSING = ("psnr", "PSNR against σ", "no PSNR is stored")
_Line = Mapping[float, float]


@dataclass(frozen=True, order=True)
class _Axis:
    """An option of one kind of condition on one split, the other options the same."""

    data: str  # "signals test"
    kind: str
    option: str
    others: str  # ", by 3", "" if there are none


def condition_figures(results: Results) -> list[Drawn | NotDrawn]:
    """Draw a figure for each study, dataset and option of a condition with results at two numbers of it or more."""
    made: list[Drawn | NotDrawn] = []
    for study in study_names(results.snapshot):
        groups = study_groups(results.snapshot, study)
        metric = foremost(results.snapshot, groups)
        if metric is None:
            continue
        lines = {group.label: _lines(results, group, metric) for group in groups}
        for axis in sorted({axis for found in lines.values() for axis in found}):
            shown = {label: found[axis] for label, found in lines.items() if axis in found}
            if len({number for line in shown.values() for number in line}) > 1:
                made.append(_figure(study, metric, axis, shown))
    return made or [NotDrawn(*_MISSING)]


def _lines(results: Results, group: Group, metric: Metric) -> dict[_Axis, _Line]:
    """Return the mean over the seeds by what is varied and its number."""
    values: dict[_Axis, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in group.runs.values():
        for (key, name), value in known_results(results.snapshot, run).items():
            if name == metric.name:
                for axis, number in _numbers(results.snapshot.evaluations[key]).items():
                    values[axis][number].append(value)
    return {axis: {number: mean(each) for number, each in sorted(line.items())} for axis, line in values.items()}


def _numbers(record: EvaluationRecord) -> dict[_Axis, float]:
    """Return the numbers among the options of an evaluation's condition."""
    options = {name: value for name, value in sorted(record.condition.items()) if name != "kind"}
    found = {}
    for name, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            others = "".join(f", {other} {given}" for other, given in options.items() if other != name)
            kind = str(record.condition.get("kind", ""))
            found[_Axis(f"{record.dataset} {record.split}", kind, name, others)] = float(value)
    return found


def _figure(study: str, metric: Metric, axis: _Axis, lines: Mapping[str, _Line]) -> Drawn:
    figure = new_figure(5.6, 3.6 + 0.14 * len(lines))
    axes = figure.add_subplot()
    for i, (label, points) in enumerate(lines.items()):
        colour = GREY if i == 0 else COLOURS[(i - 1) % len(COLOURS)]
        axes.plot(list(points), list(points.values()), f"{MARKERS[i % len(MARKERS)]}-", color=colour, label=label)
    where = ", ".join(part for part in (axis.data, axis.kind) if part) + axis.others
    axes.set(xlabel=axis.option, ylabel=f"{metric.title} ({where})")
    legend(axes, columns=2)
    title = f"{metric.title} against {axis.option}, study {study}, {where}"
    name = re.sub(r"[^\w.=-]+", "-", f"{metric.name}-{axis.option}-{study}-{where}")
    return Drawn(name, title, "Mean over the seeds and the images.", figure)
