"""Plots of any study, each a function from the tidy table (`harness/report/tidy.py`) to a figure.

    from harness.report.figures.kinds import KINDS, draw_kind

`harness report figures --study NAME --kind curves` and `harness.plot.curves(frame)` draw the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.errors import HarnessError
from harness.report.figures.kinds.curves import curves
from harness.report.figures.kinds.heatmap import heatmap
from harness.report.figures.kinds.importances import importances
from harness.report.figures.kinds.intervals import intervals
from harness.report.figures.kinds.parallel import parallel
from harness.report.figures.kinds.pareto import pareto
from harness.report.figures.style import Drawn
from harness.report.tidy import Row, Tidy


@dataclass(frozen=True)
class Kind:
    """A kind of plot, what it can be told, and whether it reads points of curves."""

    draw: Callable[..., Drawn]
    options: tuple[str, ...]
    of_points: bool = False


KINDS: Mapping[str, Kind] = {
    "curves": Kind(curves, ("metric", "by", "split", "band"), of_points=True),
    "heatmap": Kind(heatmap, ("metric", "x", "y")),
    "intervals": Kind(intervals, ("metric", "by", "against")),
    "pareto": Kind(pareto, ("metric", "cost")),
    "parallel": Kind(parallel, ("metric", "fields")),
    "importance": Kind(importances, ("metric", "fields")),
}


def check_options(kinds: Sequence[str], options: Iterable[str]) -> None:
    """Raise HarnessError for an option that none of some kinds has."""
    for option in options:
        if not any(option in KINDS[kind].options for kind in kinds):
            takes = ", ".join(kind for kind, each in KINDS.items() if option in each.options)
            raise HarnessError(f"'{option}' goes with {takes}, not with {', '.join(kinds)}")


def draw_kind(
    kind: str, name: str, runs: Tidy, points: Callable[[], Sequence[Row]], options: Mapping[str, Any]
) -> Drawn:
    """Draw one kind, with those of the options that it has and that are not None. Call within `styled`.

    Raises HarnessError if there is nothing to draw.
    """
    chosen = KINDS[kind]
    given = {option: value for option, value in options.items() if value is not None and option in chosen.options}
    return chosen.draw(name, runs, *([points()] if chosen.of_points else []), **given)
