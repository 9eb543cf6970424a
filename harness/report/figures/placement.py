"""A study's foremost metric by where the compressors stand and by their stride, as a heat map: the difference to the
network without any.
"""

import numpy as np

from harness.attempt.metrics import Metric
from harness.report.figures.groups import (
    Group,
    baseline_of,
    foremost,
    missing_score,
    score,
    study_groups,
    title_of,
)
from harness.report.figures.results import Results
from harness.report.figures.style import Drawn, NotDrawn, new_figure

_MINUS = "\N{MINUS SIGN}"


def by_placement(results: Results, study: str) -> Drawn | NotDrawn | None:
    """Draw the metric's mean by placement, rows by compressor and stride. None where there is one placement only."""
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
