"""An interval plot of any study: each trial's mean with its interval and its seeds, or its difference to another."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from matplotlib.axes import Axes

from harness.base.errors import HarnessError, did_you_mean
from harness.report.figures.kinds.columns import (
    TRIAL,
    by_field,
    field_of,
    finite,
    in_words,
    left_out,
    metric_of,
    short,
    with_trials_apart,
)
from harness.report.figures.style import COLOURS, GREY, Drawn, file_name, new_figure
from harness.report.tidy import Row, Tidy
from harness.stats.comparison import gaps
from harness.stats.tests import interval, mean

_MOST = 60  # rows
_BELOW = 0.26  # of a row: where the dots are


def intervals(
    name: str, runs: Tidy, *, metric: str | None = None, by: str = TRIAL, against: str | None = None
) -> Drawn:
    """Draw the mean of a metric per trial, or per value of `by`, with its 95% interval over the runs.

    With `against`, a trial, its differences to that one: by seed, so that what both share falls out. Raises
    HarnessError if there is nothing to draw.
    """
    chosen = metric_of(runs, metric)
    field = field_of(runs, by)
    rows = finite(with_trials_apart(runs.rows), chosen.name)
    groups = {in_words(value): found for value, found in by_field(rows, field).items()}
    if not groups:
        raise HarnessError(f"no run has a finite {chosen.name}")
    if len(groups) > _MOST:
        raise HarnessError(f"'{short(field)}' has {len(groups)} values: an interval plot shows at most {_MOST}")
    if against is None:
        shown: Mapping[str, Sequence[float]] = {
            label: [row[chosen.name] for row in found] for label, found in groups.items()
        }
    else:
        shown = _differences(groups, chosen.name, field, against)
    figure = new_figure(6.4, 0.9 + 0.26 * len(shown))
    axes = figure.add_subplot()
    for at, (label, values) in enumerate(shown.items()):
        _draw(axes, at, values, GREY if label in runs.baselines else COLOURS[0])
    if against is not None:
        axes.axvline(0, color=GREY, linewidth=0.9)
    counts = {len(values) for values in shown.values()}
    labels = [label if len(counts) == 1 else f"{label} (n = {len(values)})" for label, values in shown.items()]
    axes.set_yticks(range(len(shown)), labels)
    axes.set_ylim(len(shown) - 0.4, -0.6)  # the first on top
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        f"{chosen.label if against is None else f'difference in {chosen.label}'}; {chosen.better} is better"
    )
    mean_words = "mean" if against is None else f"mean difference to {against}, by seed,"
    n = f", n = {counts.pop()}" if len(counts) == 1 else ""
    axes.set_title("\n".join(wrap(f"{name}: {mean_words} and 95% interval{n}", 72)))
    single = "Intervals of single means that overlap say little about a difference: draw it, against one of them."
    said = f"Mean, 95% interval by Student's t, each run a dot. {single}"
    if against is not None:
        said = "Mean of the differences by seed, its 95% interval by Student's t, each seed a dot."
    return Drawn(
        file_name("intervals", name, chosen.name, *([] if field == TRIAL else [short(field)]), *_words(against)),
        f"{chosen.title}{'' if against is None else f' against {against}'} by {short(field)}, study {name}",
        said + left_out(runs.rows, rows, f"without a finite {chosen.name}"),
        figure,
    )


def _words(against: str | None) -> list[str]:
    return [] if against is None else ["against", against]


def _differences(groups: Mapping[str, Sequence[Row]], metric: str, field: str, against: str) -> dict[str, list[float]]:
    """Return each group's differences to another by seed, of the groups that share seeds with it."""
    if against not in groups:
        raise HarnessError(f"no {short(field)} '{against}' to compare with{did_you_mean(against, groups)}")
    by_seed = {label: {row["seed"]: float(row[metric]) for row in found} for label, found in groups.items()}
    if any(len(by_seed[label]) < len(found) for label, found in groups.items()):
        raise HarnessError(f"several runs of one {short(field)} have one seed: compare trials instead")
    found = {
        label: list(gaps(by_seed[against], values).values()) for label, values in by_seed.items() if label != against
    }
    shared = {label: differences for label, differences in found.items() if differences}
    if not shared:
        raise HarnessError(f"nothing has a seed in common with '{against}'")
    return shared


def _draw(axes: Axes, at: int, values: Sequence[float], colour: str) -> None:
    axes.plot(values, [at + _BELOW] * len(values), ".", color=colour, markersize=3.5, alpha=0.5, zorder=2)
    reach = interval(values)
    if reach is not None:
        axes.plot(reach, (at, at), color=colour, linewidth=1.6, zorder=3)
    axes.plot([mean(values)], [at], "D" if len(values) > 1 else "o", color=colour, markersize=5, zorder=4)
