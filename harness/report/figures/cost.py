"""A study's foremost metric against what its networks cost, with the Pareto front."""

from collections.abc import Sequence

from matplotlib.ticker import FuncFormatter

from harness.report.figures.front import pareto
from harness.report.figures.groups import Score, foremost, missing_score, score, study_groups, title_of
from harness.report.figures.results import Results
from harness.report.figures.style import COLOURS, GREY, MARKERS, Drawn, NotDrawn, legend, new_figure

COSTS = {"parameters": "Parameters", "macs": "Multiply-accumulates for one image"}


def against_cost(results: Results, study: str, cost: str) -> Drawn | NotDrawn | None:
    """Draw the metric against `cost`, a point a trial. None where no two trials differ in it: nothing to see."""
    groups = study_groups(results.snapshot, study)
    metric = foremost(results.snapshot, groups)
    head = (f"{cost}-{study}", f"{title_of(metric)} against {COSTS[cost].lower()}, study {study}")
    scores = score(results.snapshot, groups)
    known = [g for g in groups if g.label in scores and cost in g.trial.costs]
    if metric is None or not known:
        return NotDrawn(*head, missing_score(results.snapshot, groups))
    if len({g.trial.costs[cost] for g in known}) < 2:
        return None
    points = [(g.trial.costs[cost], scores[g.label].mean) for g in known]
    sign = 1 if metric.better == "higher" else -1
    front = pareto([(number, sign * value) for number, value in points])
    figure = new_figure(6.4, 3.6 + 0.14 * len(known))
    axes = figure.add_subplot()
    axes.plot(*zip(*(points[i] for i in front), strict=True), color=GREY, linewidth=1, zorder=1, label="Pareto front")
    for i, group in enumerate(known):
        values = list(scores[group.label].values.values())
        colour = COLOURS[(i - 1) % len(COLOURS)] if group.compressors else GREY
        axes.plot([points[i][0]] * len(values), values, ".", color=colour, markersize=3, alpha=0.5, zorder=2)
        marker = MARKERS[i // len(COLOURS) % len(MARKERS)]
        axes.plot(*points[i], marker, color=colour, markersize=6, zorder=3, linestyle="none", label=group.label)
    scale = "log" if _is_wide(points) else "linear"
    axes.set(xscale=scale, xlabel=COSTS[cost], ylabel=f"{metric.title} ({_words(scores)})")
    axes.xaxis.set_major_formatter(FuncFormatter(_count))
    axes.set_title(f"{study}: mean over the seeds, each seed a dot")
    legend(axes, columns=2)
    named = "; ".join(known[i].label for i in front)
    return Drawn(*head, f"Mean over the seeds. On the front, the cheapest first: {named}.", figure)


def _words(scores: dict[str, Score]) -> str:
    return next(iter(scores.values())).words


def _is_wide(points: Sequence[tuple[float, float]]) -> bool:
    costs = [cost for cost, _ in points]
    return max(costs) > 10 * min(costs)


def _count(value: float, _: object = None) -> str:
    """Return 812000 -> "812k", 19_911_680 -> "19.9M"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
