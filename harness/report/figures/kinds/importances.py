"""Which settings matter in any study: the share of a metric's variance that each explains."""

from collections.abc import Sequence

from harness.base.errors import HarnessError
from harness.report.figures.kinds.columns import common_settings, field_of, finite, left_out, metric_of, short
from harness.report.figures.style import COLOURS, GREY, Drawn, file_name, new_figure
from harness.report.tidy import Tidy
from harness.stats.importance import Run, importance

_TOGETHER = {"grid": "together (interactions)", "forest": "together and noise"}


def importances(name: str, runs: Tidy, *, fields: Sequence[str] | None = None, metric: str | None = None) -> Drawn:
    """Draw how much of a metric's variance each setting explains alone, by default each that most runs have.

    Runs that lack one of the settings, as a baseline without a compressor, are left out. Raises HarnessError if too
    little was run.
    """
    chosen = metric_of(runs, metric)
    columns = [field_of(runs, field) for field in fields] if fields else common_settings(runs)
    rows = [row for row in finite(runs.rows, chosen.name) if all(row[column] is not None for column in columns)]
    varying = [column for column in columns if len({row[column] for row in rows}) > 1]
    if not varying:
        raise HarnessError("no two runs that have all settings differ in one: name some as fields")
    found = importance(
        varying, [Run(tuple(row[c] for c in varying), row["seed"], float(row[chosen.name])) for row in rows]
    )
    shares = dict(sorted(found.alone.items(), key=lambda item: -item[1]))
    bars = [(short(column), share, COLOURS[0]) for column, share in shares.items()]
    several = len(varying) > 1 or found.how == "forest"
    bars += [(_together(found.how, found.per_trial), found.together, COLOURS[1])] if several else []
    bars += [("seeds (noise)", found.seeds, GREY)] if found.seeds is not None else []
    figure = new_figure(5.6, 0.9 + 0.27 * len(bars))
    axes = figure.add_subplot()
    for at, (_, share, colour) in enumerate(bars):
        axes.barh(at, 100 * share, height=0.64, color=colour)
        axes.annotate(
            f"{100 * share:.1f}%", (100 * share, at), xytext=(4, 0), textcoords="offset points",
            va="center",
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.14 * 100 * max(share for _, share, _ in bars))
    axes.set_xlabel(f"% of the variance of {chosen.label} over the runs")
    axes.set_title(f"{name}: importance of settings")
    if found.how == "grid":
        how = f"Analysis of variance of a whole grid of {found.trials} trials × {found.per_trial} seeds"
        how += ", corrected for what noise alone would give (ε²)." if found.seeds is not None else "."
    else:
        how = f"Functional ANOVA on a random forest over the means of {found.trials} trials."
    return Drawn(
        file_name("importance", name, chosen.name),
        f"Importance of settings for {chosen.name}, study {name}",
        how + left_out(runs.rows, rows, f"without a finite {chosen.name} or one of the settings"),
        figure,
    )


def _together(how: str, per_trial: int) -> str:
    return "together, and noise" if how == "grid" and per_trial == 1 else _TOGETHER[how]
