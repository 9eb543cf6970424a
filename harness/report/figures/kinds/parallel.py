"""Parallel coordinates of any study: a line per trial through its settings to its metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from harness.base.errors import HarnessError
from harness.report.figures.kinds.columns import (
    TRIAL,
    best_of,
    by_field,
    common_settings,
    field_of,
    finite,
    in_words,
    is_number,
    left_out,
    mean_of,
    metric_of,
    short,
    with_trials_apart,
    wrapped,
)
from harness.report.figures.style import Drawn, colour_map, file_name, new_figure
from harness.report.tidy import Tidy
from harness.stats.importance import is_wide

_MOST = 12  # axes
_MOST_WORDS = 12  # values of a field that are no numbers
_TICKS = 6
_APART = 0.05  # of an axis with few values: how far lines through one are spread, in the order of the metric


@dataclass(frozen=True)
class _Scale:
    """Where a field's values lie on its axis, from 0 to 1, and what is written there."""

    title: str
    at: dict[Any, float]
    ticks: Sequence[tuple[float, str]]


def parallel(name: str, runs: Tidy, *, fields: Sequence[str] | None = None, metric: str | None = None) -> Drawn:
    """Draw a line per trial through axes of fields, by default the settings that most runs have, to its mean metric.

    Axes of positive numbers over a power of ten or more are logarithmic; words lie evenly, in the order in which
    they come. Raises HarnessError if there is nothing to draw.
    """
    chosen = metric_of(runs, metric)
    columns = [field_of(runs, field) for field in fields] if fields else common_settings(runs)
    if not columns:
        raise HarnessError("no setting differs between the runs")
    if len(columns) > _MOST:
        raise HarnessError(f"{len(columns)} settings differ: name at most {_MOST} as fields")
    rows = finite(with_trials_apart(runs.rows), chosen.name)
    trials = by_field(rows, TRIAL)
    if len(trials) < 2:
        raise HarnessError(f"fewer than two trials have a finite {chosen.name}")
    means = {trial: mean_of(found, chosen.name) for trial, found in trials.items()}
    scales = [_scale(short(column), [row[column] for row in rows]) for column in columns]
    result = _numbers(chosen.label, sorted(means.values()))
    best = best_of(chosen, means)
    figure = new_figure(1.2 + 1.15 * (len(columns) + 1), 3.6)
    axes = figure.add_subplot()
    low, high = min(means.values()), max(means.values())
    colours = mpl.colormaps[colour_map(chosen.better)]
    norm = Normalize(low, high if high > low else low + 1)
    ordered = sorted(trials, key=lambda each: means[each])
    for trial in sorted(trials, key=lambda each: means[each], reverse=chosen.better == "lower"):  # the best on top
        apart = _APART * (ordered.index(trial) / (len(ordered) - 1) - 0.5)
        line = [
            scale.at[trials[trial][0][column]] + apart * (len(scale.at) <= _MOST_WORDS)
            for scale, column in zip(scales, columns, strict=True)
        ]
        thick = 2.8 if trial == best else 1.1
        axes.plot([*line, result.at[means[trial]]], color=colours(norm(means[trial])), linewidth=thick)
    for at, scale in enumerate([*scales, result]):
        _axis(axes, at, scale)
    axes.set_xlim(-0.15, len(columns) + 0.35)
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([])
    axes.set_xticks(range(len(columns) + 1), [wrapped(scale.title) for scale in (*scales, result)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    figure.suptitle(f"{name}: a line per trial; thick: the best", x=0.01, ha="left", fontsize=9.5)
    return Drawn(
        file_name("parallel", name, chosen.name),
        f"{chosen.title} by {', '.join(map(short, columns))}, study {name}",
        f"A line per trial, its metric the mean over the seeds; darker is better. The best, thick: {best}."
        f"{left_out(runs.rows, rows, f'without a finite {chosen.name}')}",
        figure,
    )


def _axis(axes: Axes, at: int, scale: _Scale) -> None:
    axes.plot([at, at], [0, 1], color="#888888", linewidth=0.9, zorder=0.5)
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6}
    for height, text in scale.ticks:
        axes.plot([at - 0.02, at + 0.02], [height, height], color="#888888", linewidth=0.9, zorder=0.5)
        axes.text(at + 0.035, height, text, va="center", fontsize=7.5, color="#222222", bbox=box, zorder=4)


def _scale(title: str, values: Sequence[Any]) -> _Scale:
    known = list(dict.fromkeys(values))
    if all(map(is_number, known)):
        return _numbers(title, sorted(known))
    if len(known) > _MOST_WORDS:
        raise HarnessError(f"'{title}' has {len(known)} values that are no numbers: name other fields")
    heights = {value: at / max(len(known) - 1, 1) for at, value in enumerate(known)}
    return _Scale(title, heights, [(height, wrapped(in_words(value))) for value, height in heights.items()])


def _numbers(title: str, values: Sequence[float]) -> _Scale:
    """Return an axis of numbers, which are sorted; if they are few, each has a mark."""
    log = is_wide(values)
    low, high = (math.log10(values[0]), math.log10(values[-1])) if log else (values[0], values[-1])

    def height(value: float) -> float:
        return ((math.log10(value) if log else value) - low) / (high - low) if high > low else 0.5

    known = list(dict.fromkeys(values))
    if len(known) <= _TICKS and min((b - a for a, b in pairwise(map(height, known))), default=1) > 0.05:
        ticks = [(height(value), in_words(value)) for value in known]
    elif log:
        ticks = [(height(10.0**power), in_words(10.0**power)) for power in range(math.ceil(low), math.floor(high) + 1)]
    else:
        marks = MaxNLocator(_TICKS, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [(height(float(mark)), f"{mark:.6g}") for mark in marks if low <= mark <= high]
    return _Scale(f"{title} (log)" if log else title, {value: height(value) for value in known}, ticks)
