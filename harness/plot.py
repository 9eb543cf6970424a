"""Plots of any study, one call each: `harness.plot.curves(results)`.

    results = harness.load("results/harness.db")
    harness.plot.intervals(results, against="baseline").save("intervals.pdf")
    harness.plot.heatmap(results.tidy("mine"), x="rate", y="momentum")

Each takes what `harness.load` returns, or a frame of it: `results.tidy()`, for curves `results.curves()`. A frame may
be cut down first; merge other columns into it to plot by them. A study is named if several are stored. What is not said
is chosen: the study's primary metric, the settings in which runs differ.

Each returns a figure that a notebook shows and that `save("NAME.svg")` writes (.pdf and .png, too); its `figure` is
matplotlib's, `caption` says how to read it.

Colours can be told apart by all eyes, and in grey. `harness report figures --study NAME --kind …` draws the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from harness.api import Results
from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, did_you_mean
from harness.base.extras import needs
from harness.report.tidy import Row, Tidy

if TYPE_CHECKING:
    import pandas as pd

    from harness.report.figures.style import Drawn

__all__ = ["curves", "heatmap", "importance", "intervals", "parallel", "pareto"]


def curves(
    data: "Results | pd.DataFrame",
    *,
    study: str | None = None,
    metric: str | None = None,
    by: str | None = None,
    split: str | None = None,
    band: Literal["quartiles", "range", "none"] | None = None,
) -> "Drawn":
    """Draw the median of a metric's curves with a band, a line per value of the field `by`.

    Args:
        data: stored results, or a frame as `results.curves()`.
        study: only this study's runs.
        metric: by default the primary one of which there are curves.
        by: a field: "trial", or a setting such as "arguments.rate", for which "rate" will do. By default the trial; if
            there are too many, the setting of the most values that can be told apart.
        split: by default one that was not trained on.
        band: over the runs of a line; by default the range, and quartiles if all have eight runs.

    Raises:
        HarnessError: in one line, if there is nothing to draw, or too many lines.
    """
    return _drawn("curves", data, study, metric=metric, by=by, split=split, band=band)


def heatmap(
    data: "Results | pd.DataFrame",
    x: str | None = None,
    y: str | None = None,
    *,
    study: str | None = None,
    metric: str | None = None,
) -> "Drawn":
    """Draw a metric's mean over two fields, by default the two settings of which the most pairs were run.

    `data` are stored results, or a frame as `results.tidy()`. Raises HarnessError if there is nothing to draw.
    """
    return _drawn("heatmap", data, study, x=x, y=y, metric=metric)


def intervals(
    data: "Results | pd.DataFrame",
    *,
    study: str | None = None,
    metric: str | None = None,
    by: str = "trial",
    against: str | None = None,
) -> "Drawn":
    """Draw each trial's mean with its 95% interval and its seeds.

    With `against`, the differences to that trial by seed.
    `data` are stored results, or a frame as `results.tidy()`. Raises HarnessError if there is nothing to draw.
    """
    return _drawn("intervals", data, study, metric=metric, by=by, against=against)


def pareto(
    data: "Results | pd.DataFrame", cost: str | None = None, *, study: str | None = None, metric: str | None = None
) -> "Drawn":
    """Draw a metric against a column of numbers, a point per trial, with the Pareto front.

    `cost` is by default the first of parameters, MACs and seconds in which trials differ; less of it is better, unless
    it is a metric of which more is. Raises HarnessError if there is nothing to draw.
    """
    return _drawn("pareto", data, study, cost=cost, metric=metric)


def parallel(
    data: "Results | pd.DataFrame",
    fields: Sequence[str] | None = None,
    *,
    study: str | None = None,
    metric: str | None = None,
) -> "Drawn":
    """Draw parallel coordinates: a line per trial through its settings, or some fields, to its metric.

    Raises HarnessError if there is nothing to draw.
    """
    return _drawn("parallel", data, study, fields=fields, metric=metric)


def importance(
    data: "Results | pd.DataFrame",
    fields: Sequence[str] | None = None,
    *,
    study: str | None = None,
    metric: str | None = None,
) -> "Drawn":
    """Draw how much of a metric's variance each setting explains (docs/plots.md).

    Exact if the runs are a whole grid; else on a random forest, which needs Optuna. Raises HarnessError if too little
    was run.
    """
    return _drawn("importance", data, study, fields=fields, metric=metric)


def _drawn(kind: str, data: "Results | pd.DataFrame", study: str | None, **options: Any) -> "Drawn":
    needs("matplotlib")
    from harness.report.figures.kinds import KINDS, draw_kind
    from harness.report.figures.style import styled

    points: Callable[[], Sequence[Row]]
    if isinstance(data, Results):
        runs, points = data.rows_of_runs(study), lambda: data.rows_of_curves(study)
        names = sorted({row["study"] for row in runs.rows})
        if len(names) > 1:
            raise HarnessError(f"several studies are stored: name one as study ({', '.join(names)})")
    else:
        rows = _rows(data, study)
        has_points = {"attempt", "split", "metric", "step", "value"} <= set(data.columns)
        if has_points != KINDS[kind].of_points:
            wanted = "results.curves()" if KINDS[kind].of_points else "results.tidy()"
            raise HarnessError(f"{kind}: the frame is none of {wanted}: give such a one, or what harness.load returns")
        runs, points = _tidy(data, rows), lambda: rows
        names = sorted({str(row["study"]) for row in rows if "study" in row})
    name = ", ".join(names) or "runs"
    with styled():
        return draw_kind(kind, name, runs, points, options)


def _rows(frame: "pd.DataFrame", study: str | None) -> list[dict[str, Any]]:
    """Return a frame's rows with None for what is missing, but of the values of curves."""
    if study is not None:
        known = list(frame["study"].unique()) if "study" in frame.columns else []
        if study not in known:
            raise HarnessError(f"the frame has no study '{study}'{did_you_mean(study, known)}")
        frame = frame[frame["study"] == study]
    columns = {str(name): _plain(frame[name], math.nan if name == "value" else None) for name in frame.columns}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(column: "pd.Series[Any]", missing: float | None) -> list[Any]:
    """Return a column as plain values."""
    known = column.notna()
    return [value if there else missing for value, there in zip(column.tolist(), known, strict=True)]


def _tidy(frame: "pd.DataFrame", rows: Sequence[Row]) -> Tidy:
    """Return a frame as the tidy table that it is, or was before it was cut down."""
    said: Mapping[str, Any] = frame.attrs
    columns = {str(name): object for name in frame.columns}
    settings = [name for name in said.get("settings", [name for name in columns if "." in name]) if name in columns]
    metrics = {name: Metric.from_dict(metric) for name, metric in said.get("metrics", {}).items() if name in columns}
    return Tidy(
        rows=tuple(rows),
        columns=columns,
        settings=tuple(name for name in settings if len({row[name] for row in rows}) > 1),
        metrics=metrics,
        baselines=tuple(said.get("baselines", ())),
    )
