"""What is worth its cost: a metric against another number, with the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from harness.attempt.metrics import Better, Metric
from harness.base.errors import HarnessError
from harness.report.figures.kinds.columns import (
    TRIAL,
    by_field,
    finite,
    left_out,
    metric_of,
    number_of,
    short,
    with_trials_apart,
)
from harness.report.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    Drawn,
    file_name,
    legend,
    mark_powers,
    new_figure,
    shown,
)
from harness.report.tidy import Tidy
from harness.stats.front import pareto as front_of
from harness.stats.tests import mean

_COSTS = ("parameters", "macs", "run_s", "seconds")
"""What is drawn against if no cost is named: the first in which trials differ."""
_MOST = 14  # trials that have a colour and a name each
_WIDE = 10


@dataclass(frozen=True)
class Candidate:
    """A point: a trial with its cost and each seed's value."""

    label: str
    cost: float
    values: Sequence[float]
    is_plain: bool = False  # drawn in grey: a baseline

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return mean(list(self.values))


def draw_front(
    axes: Axes, candidates: Sequence[Candidate], better: Better, cheaper: Better = "lower", most: int | None = None
) -> list[int]:
    """Draw points, each seed a dot, and the Pareto front. Return the indices of those on it, the cheapest first.

    Of more points than `most` those on the front alone have a colour and a name.
    """
    points = [(each.cost, each.mean) for each in candidates]
    sign, cost_sign = 1 if better == "higher" else -1, 1 if cheaper == "lower" else -1
    front = front_of([(cost_sign * cost, sign * value) for cost, value in points])
    axes.plot(*zip(*(points[i] for i in front), strict=True), color=GREY, linewidth=1, zorder=1, label="Pareto front")
    named = range(len(candidates)) if most is None or len(candidates) <= most else front
    plain = any(each.is_plain for each in candidates)
    for i, each in enumerate(candidates):
        colour = GREY if each.is_plain or i not in named else COLOURS[(i - plain) % len(COLOURS)]
        axes.plot([each.cost] * len(each.values), each.values, ".", color=colour, markersize=3, alpha=0.5, zorder=2)
        marker = MARKERS[i // len(COLOURS) % len(MARKERS)]
        label = shown(each.label) if i in named else None
        axes.plot(*points[i], marker, color=colour, markersize=6, zorder=3, linestyle="none", label=label)
    costs = [cost for cost, _ in points]
    axes.xaxis.set_major_formatter(FuncFormatter(count))
    if min(costs) > 0 and max(costs) > _WIDE * min(costs):
        axes.set_xscale("log")
        mark_powers(axes.xaxis, count)
    return front


def count(value: float, _: object = None) -> str:
    """Return 812000 -> "812k", 19_911_680 -> "19.9M"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def pareto(name: str, runs: Tidy, *, cost: str | None = None, metric: str | None = None) -> Drawn:
    """Draw a metric against a cost, a point per trial. The cost is any column of numbers; less of it is better, unless
    it is a metric of which more is.

    By default it is the first of parameters, MACs and seconds in which trials differ. Raises HarnessError if there is
    none.
    """
    chosen = metric_of(runs, metric)
    rows = finite(with_trials_apart(runs.rows), chosen.name)
    column = number_of(runs, cost) if cost is not None else _usual(runs)
    known = finite(rows, column)
    if column == chosen.name:
        raise HarnessError(f"'{column}' is the metric itself: name another column as cost")
    candidates = [
        Candidate(
            label, median(row[column] for row in found), [row[chosen.name] for row in found], label in runs.baselines
        )
        for label, found in by_field(known, TRIAL).items()
    ]
    if not candidates:
        raise HarnessError(f"no run has both {chosen.name} and {column}")
    against = runs.metrics.get(column, Metric(column, better="lower"))
    figure = new_figure(6.4, 3.6 + 0.14 * min(len(candidates), _MOST))
    axes = figure.add_subplot()
    front = draw_front(axes, candidates, chosen.better, against.better, _MOST)
    axes.set(xlabel=f"{against.label}; {against.better} is better", ylabel=f"{chosen.label}; {chosen.better} is better")
    axes.set_title(f"{name}: mean over the seeds, each seed a dot")
    legend(axes, columns=1 if max(len(each.label) for each in candidates) > 40 else 2)
    named = "; ".join(candidates[i].label for i in front)
    return Drawn(
        file_name("pareto", name, chosen.name, short(column)),
        f"{chosen.title} against {against.label}, study {name}",
        f"{chosen.title}: mean over the seeds; {against.label}: their median. On the front: {named}."
        f"{left_out(runs.rows, known, f'without a finite {chosen.name} or {column}')}",
        figure,
    )


def _usual(runs: Tidy) -> str:
    for column in _COSTS:
        if len({row[column] for row in finite(runs.rows, column)}) > 1:
            return column
    raise HarnessError("no cost differs between the trials: name a column of numbers as cost")
