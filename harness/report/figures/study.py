"""Figures of any study: its primary metric against what its networks cost, by placement of the compressors and by a
number of its evaluations' condition (PSNR against σ); and the training time of its trials.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.attempt.metrics import Metric
from harness.report.figures.groups import (
    Group,
    Score,
    baseline_of,
    foremost,
    missing_score,
    score,
    study_groups,
    study_names,
    title_of,
)
from harness.report.figures.kinds.pareto import Candidate, draw_front
from harness.report.figures.results import Results
from harness.report.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    Drawn,
    NotDrawn,
    colour_of,
    file_name,
    legend,
    new_figure,
)
from harness.report.tables.provenance import threads_of
from harness.report.tables.timings import changed_settings, comparable_timings, machine_of
from harness.stats.tests import mean
from harness.store.find import values as known_results
from harness.store.records import AttemptRecord, EvaluationRecord

COSTS = {"parameters": "Parameters", "macs": "Multiply-accumulates for one image"}


def against_cost(results: Results, study: str, cost: str) -> Drawn | NotDrawn | None:
    """Draw the metric against `cost`, a point per trial. None if no two trials differ in it: nothing to see."""
    results = results.of_study(study)
    groups = study_groups(results.snapshot, study)
    metric = foremost(results.snapshot, groups)
    head = (f"{cost}-{study}", f"{title_of(metric)} against {COSTS[cost].lower()}, study {study}")
    scores = score(results.snapshot, groups)
    costs = {g.label: g.trial.costs[cost] for g in groups if g.label in scores and cost in g.trial.costs}
    if metric is None or not scores:
        return NotDrawn(*head, missing_score(results.snapshot, groups))
    if not costs:
        return NotDrawn(*head, f"the {cost} of its networks are not counted")
    return _against(study, head, COSTS[cost], metric, groups, scores, costs)


def against_seconds(results: Results, study: str) -> Drawn | None:
    """Draw the metric against the seconds that a trial takes per image, all on one device. None without two timings."""
    results = results.of_study(study)
    groups = study_groups(results.snapshot, study)
    metric = foremost(results.snapshot, groups)
    scores = score(results.snapshot, groups)
    shown = _timed([group for group in groups if group.label in scores], results, _PER_IMAGE)
    if metric is None or not shown:
        return None
    head = (f"seconds-{study}", f"{title_of(metric)} against seconds per image, study {study}")
    seconds = {label: attempt.measures[_PER_IMAGE] for label, attempt in shown.items()}
    drawn = _against(study, head, "Seconds per image (median)", metric, groups, scores, seconds)
    timings = list(shown.values())
    return None if drawn is None else replace(drawn, caption=f"{drawn.caption} {_how_timed(timings[0])}")


def _against(
    study: str,
    head: tuple[str, str],
    axis: str,
    metric: Metric,
    groups: Sequence[Group],
    scores: Mapping[str, Score],
    costs: Mapping[str, float],
) -> Drawn | None:
    """Draw the metric against a cost per trial, by label. None if no two trials differ in it."""
    if len(set(costs.values())) < 2:
        return None
    known = [group for group in groups if group.label in costs]
    compressed = any(group.compressors for group in known)
    points = [
        Candidate(g.label, costs[g.label], list(scores[g.label].values.values()), compressed and not g.compressors)
        for g in known
    ]
    figure = new_figure(6.4, 3.6 + 0.14 * len(known))
    axes = figure.add_subplot()
    front = draw_front(axes, points, metric.better)
    axes.set(xlabel=axis, ylabel=f"{metric.title} ({_words(scores)})")
    axes.set_title(f"{study}: mean over the seeds, each seed a dot")
    legend(axes, columns=2)
    named = "; ".join(known[i].label for i in front)
    return Drawn(*head, f"Mean over the seeds. On the front, the cheapest first: {named}.", figure)


def _words(scores: Mapping[str, Score]) -> str:
    return next(iter(scores.values())).words


_METRIC, _PER_IMAGE = "train_s_per_epoch", "test_s_per_image"


def _timed(groups: Sequence[Group], results: Results, measure: str) -> dict[str, AttemptRecord]:
    """Return a timing with a measure per trial, by label, all of one machine and made in one way."""
    timings = comparable_timings(results.snapshot, [group.trial.key for group in groups], measure)
    return {group.label: timings[group.trial.key] for group in groups if group.trial.key in timings}


def training_time(results: Results, study: str) -> Drawn | NotDrawn:
    """Draw seconds per epoch, a bar per trial, all on one device."""
    head = (f"time-{study}", f"Training time, study {study}")
    groups = study_groups(results.snapshot, study)
    shown = _timed(groups, results, _METRIC)
    if not shown:
        return NotDrawn(*head, f"no timing is stored; harness run timing {study}.yml makes them")
    if len(shown) < 2:
        return NotDrawn(*head, f"{next(iter(shown))} alone is timed in training: there is nothing to compare")
    bars = [(group, shown[group.label]) for group in groups if group.label in shown]
    last = bars[-1][1]
    figure = new_figure(6.4, 0.9 + 0.3 * len(bars))
    axes = figure.add_subplot()
    for place, (group, attempt) in enumerate(bars):
        seconds = attempt.measures[_METRIC]
        below, above = _spread(attempt, seconds)
        axes.barh(place, seconds, height=0.62, color=colour_of(group), alpha=0.5 if group.strides == (4,) else 0.85)
        axes.errorbar(seconds, place, xerr=[[below], [above]], color="#222222", linewidth=1, capsize=2)
        axes.annotate(
            f"{seconds:.2f} s", (seconds + above, place), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(bars)), [group.label for group, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(right=1.12 * max(a.measures.get(f"{_METRIC}_max", a.measures[_METRIC]) for _, a in bars))
    axes.set_xlabel("Seconds an epoch (median; least to most)")
    return Drawn(*head, _how_timed(last), figure)


def _how_timed(attempt: AttemptRecord) -> str:
    changed = "".join(f", {name}: {value}" for name, value in changed_settings(attempt).items())
    return f"On {machine_of(attempt)[0]}, {threads_of([attempt])}, alone on the device{changed}."


def _spread(attempt: AttemptRecord, seconds: float) -> tuple[float, float]:
    least = attempt.measures.get(f"{_METRIC}_min", seconds)
    most = attempt.measures.get(f"{_METRIC}_max", seconds)
    return seconds - least, most - seconds


_MINUS = "\N{MINUS SIGN}"


def by_placement(results: Results, study: str) -> Drawn | NotDrawn | None:
    """Draw the metric's mean by placement, rows by compressor and stride. None if there is one placement only."""
    results = results.of_study(study)
    groups = [g for g in study_groups(results.snapshot, study) if len(g.kinds) < 2 and len(g.strides) < 2]
    metric = foremost(results.snapshot, groups)
    head = (f"placements-{study}", f"{title_of(metric)} by placement and stride, study {study}")
    scores = score(results.snapshot, groups)
    base = baseline_of([g for g in groups if g.label in scores])
    if metric is None or not scores:
        return NotDrawn(*head, missing_score(results.snapshot, groups))
    placed = [g for g in groups if g.compressors and g.label in scores]
    places = sorted({_place(g) for g in placed}, key=lambda names: (len(names), names))
    if base is None or len(places) < 2:
        return None
    rows = sorted({(g.kinds[0], g.strides[0]) for g in placed})
    zero = scores[base.label].mean
    scale, unit, zero_words = _in_words(metric, zero)
    grid = np.full((len(rows), len(places)), np.nan)
    for group in placed:
        place = (rows.index((group.kinds[0], group.strides[0])), places.index(_place(group)))
        grid[place] = scale * (scores[group.label].mean - zero)
    figure = new_figure(1.9 + 0.95 * len(places), 1.2 + 0.42 * len(rows))
    axes = figure.add_subplot()
    bound = float(np.nanmax(np.abs(grid))) or 1.0
    axes.imshow(
        grid,
        cmap="PuOr" if metric.better == "higher" else "PuOr_r",
        vmin=-bound,
        vmax=bound,
        aspect="auto",
        interpolation="none",
    )
    for (row, column), value in np.ndenumerate(grid):
        text = "" if np.isnan(value) else f"{value:+.2f}".replace("-", _MINUS)
        dark = abs(value) > 0.65 * bound
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "#222222")
    axes.set_xticks(range(len(places)), ["\n".join(names) for names in places])
    axes.set_yticks(range(len(rows)), [f"{kind}, stride {stride}" for kind, stride in rows])
    axes.grid(visible=False)
    words = scores[base.label].words
    axes.set_title(f"{study}: {unit} over {base.label} ({zero_words}, {words})")
    return Drawn(*head, f"Difference of the means over the seeds to {base.label}; what is empty was not run.", figure)


def _in_words(metric: Metric, value: float) -> tuple[int, str, str]:
    """Return by what a difference is multiplied, what it is then in, and a value of the metric for people."""
    if metric.unit == "fraction":
        return 100, "percentage points", f"{100 * value:.2f}%"
    return 1, metric.unit or metric.name, f"{value:.{metric.digits}f}{f' {metric.unit}' if metric.unit else ''}"


def _place(group: Group) -> tuple[str, ...]:
    return tuple(sorted(group.compressors))


_MISSING = ("psnr", "PSNR against σ", "no PSNR is stored")
_Line = Mapping[float, float]


@dataclass(frozen=True, order=True)
class _Axis:
    """An option of one kind of condition on one split."""

    data: str  # "signals test"
    kind: str
    option: str


def condition_figures(results: Results, study: str | None = None) -> list[Drawn | NotDrawn]:
    """Draw a figure for each study (or the one named), dataset and option of a condition with results at two numbers of
    it or more.
    """
    made: list[Drawn | NotDrawn] = []
    for name in study_names(results.snapshot) if study is None else [study]:
        asked = results.of_study(name)
        groups = study_groups(asked.snapshot, name)
        metric = foremost(asked.snapshot, groups)
        if metric is None:
            continue
        lines = {group.label: _lines(asked, group, metric) for group in groups}
        for axis in sorted({axis for found in lines.values() for axis in found}):
            each = {(label, o): line for label, found in lines.items() for o, line in found.get(axis, {}).items()}
            same = len({others for _, others in each}) == 1
            shown = {label if same else f"{label}{others}": line for (label, others), line in each.items()}
            if len({number for line in shown.values() for number in line}) > 1:
                made.append(_figure(name, metric, axis, next(iter(each))[1] if same else "", shown))
    return made if made or study is not None else [NotDrawn(*_MISSING)]


def _lines(results: Results, group: Group, metric: Metric) -> dict[_Axis, dict[str, _Line]]:
    """Return the mean over the seeds by what is varied, the other options in words, and the number of the option."""
    values: dict[_Axis, dict[str, dict[float, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for run in group.runs.values():
        for (key, name), value in known_results(results.snapshot, run).items():
            if name == metric.name:
                for (axis, others), number in _numbers(results.snapshot.evaluations[key]).items():
                    values[axis][others][number].append(value)
    return {
        axis: {others: {number: mean(each) for number, each in sorted(line.items())} for others, line in by.items()}
        for axis, by in values.items()
    }


def _numbers(record: EvaluationRecord) -> dict[tuple[_Axis, str], float]:
    """Return the numbers among the options of an evaluation's condition, each beside the other options in words."""
    options = {name: value for name, value in sorted(record.condition.items()) if name != "kind"}
    found = {}
    for name, value in options.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            others = "".join(f", {k} {v}" for k, v in record.spoken.items() if k not in {"kind", name})
            kind = str(record.condition.get("kind", ""))
            found[_Axis(f"{record.dataset} {record.split}", kind, name), others] = float(value)
    return found


def _figure(study: str, metric: Metric, axis: _Axis, others: str, lines: Mapping[str, _Line]) -> Drawn:
    figure = new_figure(5.6, 3.5 + 0.19 * len(lines))
    axes = figure.add_subplot()
    for i, (label, points) in enumerate(lines.items()):
        colour = GREY if i == 0 else COLOURS[(i - 1) % len(COLOURS)]
        axes.plot(list(points), list(points.values()), f"{MARKERS[i % len(MARKERS)]}-", color=colour, label=label)
    where = ", ".join(part for part in (axis.data, axis.kind) if part) + others
    axes.set(xlabel=axis.option, ylabel=f"{metric.title} ({where})")
    legend(axes)  # a line per trial: two long names would not fit next to each other
    title = f"{metric.title} against {axis.option}, study {study}, {where}"
    name = file_name(metric.name, axis.option, study, where)
    return Drawn(name, title, "Mean over the seeds and the images.", figure)
