"""The front as a figure: SVG, the same bytes for the same numbers. Without pyplot, which keeps state of its own.

The points of the front are numbered, and named below.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.base.files import atomic_write
from harness.search.file import Search
from harness.search.front import ScoredPlacement

_LABELS = {"parameters": "Parameters", "macs": "Multiply-accumulates for one image"}


def plot_front(path: Path, search: Search, found: Sequence[ScoredPlacement], front: Sequence[ScoredPlacement]) -> None:
    """Write the first objective over the cost: all that was found, the front, and its confirmed means.

    Where nothing else counts, over the number of the trial.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a person's own settings are
        mpl.rcParams["svg.hashsalt"] = search.name
        figure = Figure(figsize=(6.4, 4.2 + 0.16 * len(front)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        cost = search.cost
        costs = {c.placement: float(n) if cost is None else c.costs[cost] for n, c in enumerate(found, 1)}
        grey, blue, red = "#b5b5b5", "#1b6ca8", "#c1440e"
        for chosen, style, colour, label in ((found, "o", grey, "found"), (front, "o-", blue, "front")):
            x, y = [costs[c.placement] for c in chosen], [c.mean for c in chosen]
            axes.plot(x, y, style, color=colour, markersize=4, label=label)
        means = [(costs[c.placement], mean) for c in front if (mean := c.confirmed_mean) is not None]
        if means:
            axes.plot(*zip(*means, strict=True), "D", markerfacecolor="none", color=red, label="confirmed")
        for number, candidate in enumerate(front, 1):
            place = (costs[candidate.placement], candidate.mean)
            axes.annotate(str(number), place, xytext=(0, 5), textcoords="offset points", ha="center", fontsize=7)
        axes.set(**_axes(search))
        axes.set_title(search.name)
        axes.legend(frameon=False)
        names = [Line2D([], [], linestyle="none", label=f"{n}  {c.words}") for n, c in enumerate(front, 1)]
        figure.legend(handles=names, loc="outside lower left", frameon=False, fontsize=7, handlelength=0)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    atomic_write(path, buffer.getvalue())


def _axes(search: Search) -> dict[str, Any]:
    if search.of_arguments:
        return {"xlabel": search.cost or "Number of the trial", "ylabel": search.objectives[0]}
    label = _LABELS[search.cost or "parameters"]
    return {"xscale": "log", "xlabel": label, "ylabel": f"{search.metric.title} on the validation split"}
