"""The numbers behind the page's charts, as JSON: curves by study, and accuracy against costs.

A curve has at most 240 points (first and last among them), a value five digits, so that the page stays small.
"""

import math
from collections.abc import Sequence
from typing import Any

from harness.report.figures.front import pareto
from harness.report.figures.groups import Group, score, study_groups
from harness.report.figures.results import Results, Series
from harness.report.html.anchors import run_id, trial_id

_POINTS = 240
COSTS = {"parameters": "Parameters", "macs": "MACs of one image"}
_WORDS = {
    "accuracy": "Accuracy",
    "loss": "Loss",
    "hidden_mean": "Mean of the last hidden layer",
    "hidden_variance": "Variance of the last hidden layer",
}
_FIRST = ("accuracy", "hidden_mean", "hidden_variance", "loss")


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
    places = sorted({place for each in found.values() for place in each}, key=_order)
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
    metrics = [{"id": f"{split} {name}", "label": _label(split, name)} for split, name in places]
    return {"metrics": metrics, "steps": [list(each) for each in steps], "trials": trials}


def _order(place: tuple[str, str]) -> tuple[Any, ...]:
    """Put accuracy first, observed often before once an epoch, then the rest by name."""
    split, name = place
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), split == "train", "[" not in split, split, name)


def _label(split: str, name: str) -> str:
    """Return "Accuracy, first 2,000 of test"."""
    words = _WORDS.get(name, name)
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
    """Return by study accuracy and costs of each trial, and which are on the front for each cost, the cheapest first.

    {words, points: [{label, target, colour, mean, values, parameters, macs}], fronts: {cost: [index]}}
    """
    made = {study: _costs(results, study_groups(results.snapshot, study)) for study in studies}
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
    fronts = {c: pareto([(g.trial.costs[c], scores[g.label].mean) for _, g in shown]) for c in COSTS}
    return {"words": next(iter(scores.values())).words, "points": points, "fronts": fronts}
