"""Which choices of a search made a difference, by two measures of `optuna.importance`, each of which adds up to 1.

fANOVA (Hutter, Hoos and Leyton-Brown, 2014): the share of the variance over the whole space that a choice explains by
itself, by a forest that is fitted to all points. PED-ANOVA (Watanabe, Bansal and Hutter, 2023): how far what the best
tenth of the points chose is from what all chose. The one is about all that was tried, bad regions too, the other about
getting to the best. Both describe the points that a sampler chose to try, which for TPE lie where it hoped to find good
ones; neither is a test.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

from harness.attempt.metrics import Direction
from harness.base.extras import is_installed
from harness.search.proposals import distribution
from harness.search.space import Choice
from harness.stats.importance import LEAST

FEWEST = LEAST
"""Points with a value, below which the best tenth is no group and a forest fits noise."""


@dataclass(frozen=True)
class Importance:
    """Of one place: a site, or an argument."""

    place: str
    ped_anova: float
    fanova: float | None  # None without scikit-learn, by which Optuna fits the forest


def importances(
    choices: Mapping[str, Choice], points: Sequence[Mapping[str, Any]], values: Sequence[float], direction: Direction
) -> tuple[Importance, ...]:
    """Return how important each place is for an objective, the most for the best first.

    `points` have a choice per place and `values` the objective, both in one order. Nothing for fewer than `FEWEST`
    points, and if all values are equal.
    """
    if len(points) < FEWEST or len(set(values)) < 2:
        return ()
    sign = 1 if direction == "minimize" else -1  # PED-ANOVA takes the lowest for the best
    study = optuna.create_study()
    distributions = {place: distribution(choice) for place, choice in choices.items()}
    for point, value in zip(points, values, strict=True):
        study.add_trial(
            optuna.trial.create_trial(params=dict(point), distributions=distributions, value=sign * value)
        )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it minimises, which is why the sign is there
        best = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        whole = None
        if is_installed("sklearn"):
            whole = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return tuple(
        Importance(place, float(share), None if whole is None else float(whole[place]))
        for place, share in sorted(best.items(), key=lambda item: -item[1])
    )
