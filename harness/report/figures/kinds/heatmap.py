"""A heat map of any study: a metric's mean over two fields."""

import math
from itertools import combinations

import numpy as np

from harness.base.errors import HarnessError
from harness.report.figures.kinds.columns import (
    by_field,
    digits,
    field_of,
    finite,
    in_bins,
    in_words,
    left_out,
    mean_of,
    metric_of,
    short,
    wrapped,
)
from harness.report.figures.style import Drawn, colour_map, file_name, new_figure
from harness.report.printing import MINUS
from harness.report.tidy import Tidy

_MOST = 40  # rows or columns
_DARK = 0.45  # from the worst to the best: beyond this, what is written on it is white


def heatmap(name: str, runs: Tidy, *, x: str | None = None, y: str | None = None, metric: str | None = None) -> Drawn:
    """Draw the mean of a metric over the runs with each pair of values of two fields; an empty cell was not run.

    Many numbers, as a search tries, are put into intervals. By default the fields are the two settings of which the
    most pairs of values were run. Raises HarnessError if there are none.
    """
    chosen = metric_of(runs, metric)
    across, down = _fields(runs, x, y)
    rows = in_bins(in_bins(finite(runs.rows, chosen.name), across), down)
    if not rows:
        raise HarnessError(f"no run has a finite {chosen.name}")
    columns, lines = list(by_field(rows, across)), list(by_field(rows, down))
    if max(len(columns), len(lines)) > _MOST:
        field, count = max((across, len(columns)), (down, len(lines)), key=lambda each: each[1])
        raise HarnessError(f"'{short(field)}' has {count} values: a heat map shows at most {_MOST}")
    grid = np.full((len(lines), len(columns)), math.nan)
    for line, of_line in by_field(rows, down).items():
        for column, cell in by_field(of_line, across).items():
            grid[lines.index(line), columns.index(column)] = mean_of(cell, chosen.name)
    low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
    places = digits([low, high])
    heads = [wrapped(in_words(value)) for value in columns]
    wide = max(len(f"{high:.{places}f}"), *(len(part) for head in heads for part in head.split("\n")))
    left = max(len(in_words(value)) for value in lines)
    width = max(4.0, 1.5 + 0.07 * left + len(columns) * max(0.5, 0.085 * wide))
    figure = new_figure(width, 1.2 + 0.34 * len(lines) + 0.12 * max(head.count("\n") for head in heads))
    axes = figure.add_subplot()
    axes.imshow(grid, cmap=colour_map(chosen.better), aspect="auto", interpolation="none")
    for (line_at, column_at), value in np.ndenumerate(grid):
        if not math.isnan(value):
            share = (value - low) / (high - low) if high > low else 0.0
            dark = share if chosen.better == "higher" else 1 - share
            text = f"{value:.{places}f}".replace("-", MINUS)
            colour = "white" if dark > _DARK else "black"
            axes.text(column_at, line_at, text, ha="center", va="center", color=colour, fontsize=7.5)
    axes.set_xticks(range(len(columns)), heads)
    axes.set_yticks(range(len(lines)), [in_words(value) for value in lines])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel=short(across), ylabel=short(down))
    others = [short(field) for field in runs.settings if field not in {across, down}]
    over = f"the runs, whatever {', '.join(others)}" if others else "the seeds"
    axes.set_title(f"{name}: {chosen.label}, mean; darker is better")
    return Drawn(
        file_name("heatmap", name, chosen.name, short(across), short(down)),
        f"{chosen.title} by {short(across)} and {short(down)}, study {name}",
        f"Mean over {over}; darker is better, and what is empty was not run."
        f"{left_out(runs.rows, rows, f'without a finite {chosen.name}')}",
        figure,
    )


def _fields(runs: Tidy, x: str | None, y: str | None) -> tuple[str, str]:
    """Return the two fields, those that are not named in the order of the settings."""
    named = [None if field is None else field_of(runs, field) for field in (x, y)]
    rest = [field for field in runs.settings if field not in named]
    if named == [None, None] and len(rest) > 1:
        filled = {pair: _filled(runs, *pair) for pair in combinations(rest, 2)}
        best = max(filled, key=lambda pair: filled[pair])
        if not filled[best]:
            raise HarnessError("no two settings of the runs cross: name two fields as x and y")
        return best
    found = [field if field is not None else rest.pop(0) for field in named if field is not None or rest]
    if len(found) < 2:
        raise HarnessError("a heat map needs two fields, and fewer settings differ between the runs")
    if found[0] == found[1]:
        raise HarnessError(f"x and y are both '{short(found[0])}'")
    return found[0], found[1]


def _filled(runs: Tidy, one: str, other: str) -> float:
    """Return how much of a map two fields fill: the cells that were run, times their part of all."""
    rows = in_bins(in_bins(runs.rows, one), other)
    cells = {(row[one], row[other]) for row in rows if None not in {row[one], row[other]}}
    across, down = (len({cell[at] for cell in cells}) for at in (0, 1))
    return len(cells) ** 2 / (across * down) if min(across, down) > 1 else 0.0
