"""Which settings matter: how much of a metric's variance over the runs each of them explains.

Of a whole grid, every combination with the same seeds, the variance is decomposed exactly, as in an analysis of
variance. A setting's share is its sum of squares minus what noise alone would give it, over the total: Kelley's ε²
(T. L. Kelley, "An unbiased correlation ratio measure", PNAS 21, 1935), 0 if that is negative. All else is decomposed on
a random forest, as functional ANOVA (F. Hutter, H. Hoos, K. Leyton-Brown, "An Efficient Approach for Assessing
Hyperparameter Importance", ICML 2014) by Optuna.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from harness.base.errors import HarnessError
from harness.base.extras import needs

LEAST = 20
"""Of fewer trials a forest fits noise."""
_WIDE = 10  # a setting over a power of ten is looked at in its logarithm


@dataclass(frozen=True)
class Run:
    """A run's settings, in the order of the fields, with its seed and its metric."""

    settings: tuple[Any, ...]
    seed: int
    value: float


@dataclass(frozen=True)
class Importance:
    """Shares of the variance, which add up to 1."""

    alone: Mapping[str, float]  # by field: its main effect
    together: float  # interactions; of a grid with one seed also noise; of a forest all that is left
    seeds: float | None  # noise; None if it is not known: one seed, or a forest
    how: Literal["grid", "forest"]
    trials: int
    per_trial: int  # seeds


def importance(fields: Sequence[str], runs: Sequence[Run]) -> Importance:
    """Return the shares of the fields, each of which has two values or more.

    Raises HarnessError if nothing varies, or if there is no grid and too little for a forest.
    """
    if not fields:
        raise HarnessError("no setting differs between the runs")
    by_trial: dict[tuple[Any, ...], dict[int, float]] = {}
    for run in runs:
        by_trial.setdefault(run.settings, {})[run.seed] = run.value
    levels = [list(dict.fromkeys(settings[at] for settings in by_trial)) for at in range(len(fields))]
    seeds = sorted(set.intersection(*(set(found) for found in by_trial.values())))
    if all(cell in by_trial for cell in product(*levels)) and seeds:
        if len(fields) == len(seeds) == 1:
            raise HarnessError(
                f"one setting, {fields[0]}, at one seed explains everything: there is nothing to compare"
            )
        values = np.array([[by_trial[cell][seed] for seed in seeds] for cell in product(*levels)])
        return _of_grid(fields, values.reshape(*map(len, levels), len(seeds)))
    return _of_forest(fields, {cell: math.fsum(found.values()) / len(found) for cell, found in by_trial.items()})


def _of_grid(fields: Sequence[str], values: "np.ndarray[Any, Any]") -> Importance:
    """Decompose the variance of values, an axis for each field and the last for seeds."""
    *levels, seeds = values.shape
    total = float(((values - values.mean()) ** 2).sum())
    if not total:
        raise HarnessError("the metric is the same in all runs")
    cells = values.mean(axis=-1)
    within = float(((values - cells[..., None]) ** 2).sum())
    between = float(seeds * ((cells - cells.mean()) ** 2).sum())
    noise = within / (values.size - cells.size) if seeds > 1 else 0.0  # per degree of freedom
    alone = {}
    for at, field in enumerate(fields):
        means = cells.mean(axis=tuple(axis for axis in range(len(levels)) if axis != at))
        squares = float(values.size / levels[at] * ((means - means.mean()) ** 2).sum())
        between -= squares
        alone[field] = max(squares - (levels[at] - 1) * noise, 0.0) / total
    freedom = cells.size - 1 - sum(count - 1 for count in levels)
    together = max(between - freedom * noise, 0.0) / total
    left = max(1 - math.fsum([*alone.values(), together]), 0.0) if seeds > 1 else None
    return Importance(alone, together, left, "grid", cells.size, seeds)


def _of_forest(fields: Sequence[str], means: Mapping[tuple[Any, ...], float]) -> Importance:
    """Decompose the variance of a random forest on the means of trials."""
    if len(means) < LEAST:
        raise HarnessError(f"{len(means)} trials that are no whole grid are too few: at least {LEAST} are needed")
    if len(set(means.values())) == 1:
        raise HarnessError("the metric is the same in all runs")
    needs("optuna", "sklearn")
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    columns = list(zip(*means, strict=True))
    spaces = {str(at): _distribution(column) for at, column in enumerate(columns)}
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it says that it has made a study
    try:
        study = optuna.create_study()
    finally:
        optuna.logging.set_verbosity(told)
    for settings, value in means.items():
        params = {str(at): setting if _is_number(columns[at]) else repr(setting) for at, setting in enumerate(settings)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=value))
    found = FanovaImportanceEvaluator(seed=0).evaluate(study)
    alone = {field: float(found[str(at)]) for at, field in enumerate(fields)}
    return Importance(alone, 1 - math.fsum(alone.values()), None, "forest", len(means), 1)


def _distribution(column: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if not _is_number(column):
        return CategoricalDistribution(list(dict.fromkeys(map(repr, column))))
    return FloatDistribution(min(column), max(column), log=is_wide(column))


def is_wide(numbers: Sequence[float]) -> bool:
    """Return whether positive numbers span a power of ten or more."""
    return min(numbers) > 0 and max(numbers) >= _WIDE * min(numbers)


def _is_number(column: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)
