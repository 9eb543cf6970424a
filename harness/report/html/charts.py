"""The numbers behind the page's charts, as JSON: curves by study, and the primary metric against costs.

A curve has at most 240 points (first and last among them), a value five digits, so that the page stays small.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from harness.attempt.metrics import Metric
from harness.report.figures.groups import Group, score, study_groups
from harness.report.figures.results import Results, Series
from harness.report.html.anchors import run_id, trial_id
from harness.report.tables.declared import metric_named, metrics_of_all
from harness.stats.front import pareto

_POINTS = 240
COSTS = {"parameters": "Parameters", "macs": "MACs of one image"}
_OBSERVED = {  # while training, beside the metrics
    "hidden_mean": "Mean of the last hidden layer",
    "hidden_variance": "Variance of the last hidden layer",
}


def curves(results: Results, studies: Sequence[str]) -> dict[str, Any]:
    """Return by study the metrics that were observed while training, and each run's values.

    {metrics: [{id, label, split}], steps: [[...]], trials: [{label, target, colour, runs: [{seed, target, series:
    {metric: [index into steps, values]}}]}]}
    """
    made = {study: _curves(results, study) for study in studies}
    return {study: chart for study, chart in made.items() if chart["metrics"]}


def _curves(results: Results, study: str) -> dict[str, Any]:
    groups = [group for group in study_groups(results.snapshot, study) if group.runs]
    found = {(g.label, seed): results.curves(run.uid) for g in groups for seed, run in g.runs.items()}
    metrics = metrics_of_all(results.snapshot, [group.trial.key for group in groups])
    places = sorted({place for each in found.values() for place in each}, key=partial(_order, metrics))
    places = [place for place in places if max(len(each[place]) for each in found.values() if place in each) > 1]
    steps: list[tuple[int, ...]] = []
    trials = []
    for number, group in enumerate(groups):
        runs = []
        for seed, run in group.runs.items():
            known = {
                f"{s} {n}": _packed(found[group.label, seed][s, n], steps)
                for s, n in places
                if (s, n) in found[group.label, seed]
            }
            runs.append({"seed": seed, "target": run_id(run), "series": known})
        trials.append({"label": group.label, "target": trial_id(group.trial), "colour": number, "runs": runs})
    shown = [{"id": f"{split} {name}", "label": _label(metrics, split, name)} for split, name in places]
    return {"metrics": shown, "steps": [list(each) for each in steps], "trials": trials}


def _order(metrics: Sequence[Metric], place: tuple[str, str]) -> tuple[Any, ...]:
    """Put the primary metric first, then what else is observed, then the other metrics in their order, then the rest
    by name; observed often before once per epoch.
    """
    split, name = place
    names = [*(metric.name for metric in metrics[:1]), *_OBSERVED, *(metric.name for metric in metrics[1:])]
    return (names.index(name) if name in names else len(names), split == "train", "[" not in split, split, name)


def _label(metrics: Sequence[Metric], split: str, name: str) -> str:
    """Return "Accuracy, first 2,000 of test"."""
    words = _OBSERVED.get(name) or metric_named(metrics, name).title
    if "[:" not in split:
        return f"{words}, {split}" if split else words
    whole, count = split.removesuffix("]").split("[:")
    return f"{words}, first {int(count):,} of {whole}"


def _packed(series: Series, steps: list[tuple[int, ...]]) -> list[Any]:
    """Return [index of its steps, values]; steps that are new are put at the end of the list."""
    size = len(series)
    kept = range(size) if size <= _POINTS else [round(i * (size - 1) / (_POINTS - 1)) for i in range(_POINTS)]
    mine = tuple(series.steps[i] for i in kept)
    if mine not in steps:
        steps.append(mine)
    return [steps.index(mine), [_rounded(series.values[i]) for i in kept]]


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def costs(results: Results, studies: Sequence[str]) -> dict[str, Any]:
    """Return by study the primary metric and costs of each trial, and which are on the front for each cost, the
    cheapest first.

    {metric, title, words, points: [{label, target, colour, mean, values, parameters, macs}], fronts: {cost: [index]}}
    """
    asked = {study: results.of_study(study) for study in studies}
    made = {study: _costs(found, study_groups(found.snapshot, study)) for study, found in asked.items()}
    return {study: chart for study, chart in made.items() if chart is not None}


def _costs(results: Results, groups: Sequence[Group]) -> dict[str, Any] | None:
    scores = score(results.snapshot, groups)
    shown = [(i, g) for i, g in enumerate(groups) if g.label in scores and all(c in g.trial.costs for c in COSTS)]
    if len({g.trial.costs["parameters"] for _, g in shown}) < 2:
        return None
    points = [
        {
            "label": g.label,
            "target": trial_id(g.trial),
            "colour": i,
            "mean": _rounded(scores[g.label].mean),
            "values": [[seed, _rounded(value)] for seed, value in scores[g.label].values.items()],
            **{cost: round(g.trial.costs[cost]) for cost in COSTS},
        }
        for i, g in shown
    ]
    some = next(iter(scores.values()))
    sign = 1 if some.metric.better == "higher" else -1
    fronts = {c: pareto([(g.trial.costs[c], sign * scores[g.label].mean) for _, g in shown]) for c in COSTS}
    names = {"metric": some.metric.label, "title": some.metric.title, "words": some.words}
    return {**names, "points": points, "fronts": fronts}


def costs_title(charts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the heading of the charts of costs: with the metric, if it is the same in all."""
    titles = {str(chart["title"]) for chart in charts.values()}
    return f"{titles.pop() if len(titles) == 1 else 'Results'} against costs"
