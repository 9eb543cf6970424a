"""Curves of any study: the median of many runs with a band, by trial or by any field."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.base.errors import HarnessError, did_you_mean
from harness.report.figures.kinds.columns import TRIAL, by_field, field_of, in_words, short, with_trials_apart
from harness.report.figures.style import COLOURS, LINES, Drawn, file_name, legend, mark_powers, new_figure, shown
from harness.report.tidy import Row, Tidy

Band = Literal["quartiles", "range", "none"]
_MOST = 14  # groups in one figure
_MANY = 8  # runs, of which quartiles say more than the range
_SAID: Mapping[Band, str] = {"quartiles": "median and quartiles", "range": "median, least and most", "none": "median"}
_WIDE = 1000
_FAINT = 0.15


def curves(
    name: str,
    runs: Tidy,
    points: Sequence[Row],
    *,
    metric: str | None = None,
    by: str | None = None,
    split: str | None = None,
    band: Band | None = None,
) -> Drawn:
    """Draw what a metric did during runs, a line for each value of `by`.

    By default a line is a trial; if there are too many of them, the setting of the most values that can be told
    apart decides.
    `points` are rows with `attempt`, `split`, `metric`, `step` and `value`; a field that they lack is their run's. By
    default the metric is the study's primary of which there are curves, on data that was not trained on; the band goes
    from the least to the most, and from quartile to quartile if every group has eight runs. Raises HarnessError if
    there is nothing to draw, or too much to be told apart.
    """
    if band is not None and band not in get_args(Band):
        raise HarnessError(f"band must be one of {', '.join(get_args(Band))}, not '{band}'")
    chosen_metric, chosen_split = _chosen(points, runs, metric, split)
    own = [point for point in points if (point["metric"], point["split"]) == (chosen_metric, chosen_split)]
    field = by if by is not None and by in own[0] else _field(runs, by, own)
    if field not in own[0]:
        of_run = {row["attempt"]: row[field] for row in runs.rows}
        own = [{**point, field: of_run.get(point["attempt"])} for point in own]
    values = [point["value"] for point in own if math.isfinite(point["value"])]
    if not values:
        raise HarnessError(f"no value of {chosen_metric} ({chosen_split}) is finite")
    groups = {value: _by_run(rows) for value, rows in by_field(with_trials_apart(own), field).items()}
    if len(groups) > _MOST:
        raise HarnessError(f"{len(groups)} lines cannot be told apart; {_advice(runs)}")
    few = min(len(group) for group in groups.values())
    chosen_band: Band = band or ("quartiles" if few >= _MANY else "none" if few < 2 else "range")
    figure = new_figure(6.0, 3.5 + 0.17 * math.ceil(len(groups) / 2))
    axes = figure.add_subplot()
    for at, (value, group) in enumerate(groups.items()):
        _draw(axes, at, shown(f"{in_words(value)} (n = {len(group)})"), group, chosen_band)
    if min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_yscale("log")
        mark_powers(axes.yaxis, lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set(xlabel="Step", ylabel=f"{chosen_metric} ({chosen_split})")
    by_words = "" if field == TRIAL else f" by {short(field)}"
    axes.set_title(f"{name}{by_words}: {_SAID[chosen_band]}")
    legend(axes, columns=1 if max(len(in_words(value)) for value in groups) > 36 else 2)
    return Drawn(
        file_name("curves", name, chosen_metric, chosen_split, *([] if field == TRIAL else [short(field)])),
        f"{chosen_metric} ({chosen_split}) over the steps{by_words}, study {name}",
        f"{_SAID[chosen_band].capitalize()} over the runs of a line, at the steps that all of them have.",
        figure,
    )


def _field(runs: Tidy, by: str | None, points: Sequence[Row]) -> str:
    """Return the column by which lines are told apart."""
    if by is not None:
        return field_of(runs, by)
    trials = {(point.get("study"), point[TRIAL]) for point in points}
    few = _few(runs)
    return few[0] if len(trials) > _MOST and few else TRIAL


def _few(runs: Tidy) -> list[str]:
    """Return the settings that have so few values that lines can be told apart by them, that of the most first."""
    levels = {field: len({row[field] for row in runs.rows}) for field in runs.settings}
    return sorted((field for field in levels if levels[field] <= _MOST), key=lambda field: -levels[field])


def _advice(runs: Tidy) -> str:
    fewer = [f"'{short(field)}'" for field in _few(runs)]
    return f"choose by: {', '.join(fewer)}" if fewer else "no setting has fewer values"


def _chosen(points: Sequence[Row], runs: Tidy, metric: str | None, split: str | None) -> tuple[str, str]:
    """Return the metric and the split that are drawn. Raises HarnessError if there are no such curves."""
    known: dict[str, dict[str, int]] = {}
    for point in points:
        splits = known.setdefault(point["metric"], {})
        splits[point["split"]] = splits.get(point["split"], 0) + 1
    if not known:
        raise HarnessError("no curve is stored")
    foremost = [name for name in runs.metrics if name in known]
    chosen = metric or next(iter(foremost or known))
    if chosen not in known:
        raise HarnessError(f"no curve of '{chosen}'{did_you_mean(chosen, known)}")
    splits = known[chosen]
    if split is not None and split not in splits:
        raise HarnessError(f"no curve of {chosen} on '{split}'{did_you_mean(split, splits)}")
    return chosen, split or max(splits, key=lambda name: (name != "train", splits[name], name))


def _by_run(rows: Sequence[Row]) -> list[dict[int, float]]:
    """Return the curve of each run: value by step."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        found.setdefault(row["attempt"], {})[row["step"]] = row["value"]
    return list(found.values())


def _draw(axes: Axes, at: int, label: str, group: Sequence[Mapping[int, float]], band: Band) -> None:
    steps = sorted(set.intersection(*(set(run) for run in group)))
    if not steps:
        raise HarnessError(f"the runs of '{label}' have no step in common")
    colour, dashes = COLOURS[at % len(COLOURS)], LINES[at // len(COLOURS) % len(LINES)]
    known = [[run[step] for run in group if math.isfinite(run[step])] for step in steps]
    most = [values if 2 * len(values) >= len(group) else [math.nan] for values in known]  # half of them diverged: a gap
    style: dict[str, Any] = {"color": colour, "linestyle": dashes}
    axes.plot(steps, [median(values) for values in most], label=label, marker="o" if len(steps) == 1 else "", **style)
    if band != "none":
        ends = [0, 1] if band == "range" else [0.25, 0.75]
        low, high = zip(*(np.quantile(values, ends) for values in most), strict=True)
        axes.fill_between(steps, low, high, color=colour, alpha=_FAINT, linewidth=0)
