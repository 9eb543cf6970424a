"""A study's accuracy by where the compressors stand and by their stride, as a heat map: the difference to the network
without any.
"""

import numpy as np

from harness.report.figures.groups import Group, baseline_of, missing_accuracy, score, study_groups
from harness.report.figures.results import Results
from harness.report.figures.style import Drawn, NotDrawn, new_figure

_MINUS = "\N{MINUS SIGN}"


def by_placement(results: Results, study: str) -> Drawn | NotDrawn | None:
    """Draw mean accuracy by placement, rows by compressor and stride. None where there is one placement only."""
    head = (f"placements-{study}", f"Accuracy by placement and stride, study {study}")
    groups = [g for g in study_groups(results.snapshot, study) if len(g.kinds) < 2 and len(g.strides) < 2]
    scores = score(results.snapshot, groups)
    base = baseline_of([g for g in groups if g.label in scores])
    if not scores:
        return NotDrawn(*head, missing_accuracy(groups))
    placed = [g for g in groups if g.compressors and g.label in scores]
    places = sorted({_place(g) for g in placed}, key=lambda names: (len(names), names))
    if base is None or len(places) < 2:
        return None
    rows = sorted({(g.kinds[0], g.strides[0]) for g in placed})
    zero = scores[base.label].mean
    grid = np.full((len(rows), len(places)), np.nan)
    for group in placed:
        place = (rows.index((group.kinds[0], group.strides[0])), places.index(_place(group)))
        grid[place] = 100 * (scores[group.label].mean - zero)
    figure = new_figure(1.9 + 0.95 * len(places), 1.2 + 0.42 * len(rows))
    axes = figure.add_subplot()
    bound = float(np.nanmax(np.abs(grid))) or 1.0
    axes.imshow(grid, cmap="PuOr", vmin=-bound, vmax=bound, aspect="auto", interpolation="none")
    for (row, column), value in np.ndenumerate(grid):
        text = "" if np.isnan(value) else f"{value:+.2f}".replace("-", _MINUS)
        dark = abs(value) > 0.65 * bound
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "#222222")
    axes.set_xticks(range(len(places)), ["\n".join(names) for names in places])
    axes.set_yticks(range(len(rows)), [f"{kind}, stride {stride}" for kind, stride in rows])
    axes.grid(visible=False)
    words = scores[base.label].words
    axes.set_title(f"{study}: percentage points over {base.label} ({100 * zero:.2f}%, {words})")
    return Drawn(*head, f"Difference of the means over the seeds to {base.label}; what is empty was not run.", figure)


def _place(group: Group) -> tuple[str, ...]:
    return tuple(sorted(group.compressors))
