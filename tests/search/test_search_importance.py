"""Which choices of a search made a difference: by Optuna's own numbers, in both directions."""

import random

import pytest
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

from harness.search import importance
from harness.search.importance import FEWEST, importances
from harness.search.space import Range

CHOICES = {"width": Range(10, 30), "kind": ("a", "b", None), "rate": Range(0.0, 1.0)}


def tried(count=40):
    """Points of a space in which `width` decides almost everything and `rate` nothing."""
    draw = random.Random(0)  # noqa: S311
    points = [
        {"width": draw.randint(10, 30), "kind": draw.choice(["a", "b", None]), "rate": draw.random()}
        for _ in range(count)
    ]
    return points, [abs(point["width"] - 20) + (point["kind"] == "b") for point in points]


def test_what_decides_comes_first_and_shares_add_up_to_one():
    found = importances(CHOICES, *tried(), "minimize")
    assert found[0].place == "width"
    assert found[0].ped_anova > 0.8
    assert found[0].fanova > 0.8
    assert sum(each.ped_anova for each in found) == pytest.approx(1)
    assert sum(each.fanova for each in found) == pytest.approx(1)


def test_maximizing_is_minimizing_the_negative():
    points, values = tried()
    assert importances(CHOICES, points, [-value for value in values], "maximize") == importances(
        CHOICES, points, values, "minimize"
    )


def test_the_numbers_are_those_of_optuna(monkeypatch):
    studies = []
    made = importance.optuna.create_study
    monkeypatch.setattr(importance.optuna, "create_study", lambda: studies.append(made()) or studies[0])
    found = {each.place: each for each in importances(CHOICES, *tried(), "minimize")}
    with pytest.warns(UserWarning, match="low"):
        best = get_param_importances(studies[0], evaluator=PedAnovaImportanceEvaluator(), target=lambda t: t.value)
    assert {place: each.ped_anova for place, each in found.items()} == pytest.approx(best)
    whole = get_param_importances(studies[0], evaluator=FanovaImportanceEvaluator(seed=0))
    assert {place: each.fanova for place, each in found.items()} == pytest.approx(whole)


def test_without_scikit_learn_the_other_measure_stays(monkeypatch):
    monkeypatch.setattr(importance, "is_installed", lambda _: False)
    assert {each.fanova for each in importances(CHOICES, *tried(), "minimize")} == {None}


def test_nothing_of_too_few_points_or_of_no_difference():
    points, values = tried(FEWEST - 1)
    assert importances(CHOICES, points, values, "minimize") == ()
    points, _ = tried()
    assert importances(CHOICES, points, [1.0] * len(points), "minimize") == ()
