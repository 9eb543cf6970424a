"""Importance: a grid is decomposed as an analysis of variance says, noise gets nothing, a forest finds what matters."""

import math
from itertools import product
from statistics import fmean

import numpy as np
import pytest

from harness.base.errors import HarnessError
from harness.stats.importance import Run, importance

LEVELS = (("a", "b", "c"), (1, 2), (0.1, 0.2))
FIELDS = ["letter", "whole", "rate"]


def grid(value, seeds=3):
    return [Run(cell, seed, value(*cell)) for cell in product(*LEVELS) for seed in range(seeds)]


def test_shares_of_a_grid_are_those_of_the_formula():
    rng = np.random.default_rng(3)
    runs = grid(lambda letter, whole, _: "abc".index(letter) * whole + rng.normal())
    values = [run.value for run in runs]
    total = sum((value - fmean(values)) ** 2 for value in values)
    cells = {cell: [run.value for run in runs if run.settings == cell] for cell in product(*LEVELS)}
    noise = sum((v - fmean(each)) ** 2 for each in cells.values() for v in each) / (len(runs) - len(cells))
    found = importance(FIELDS, runs)
    for at, field in enumerate(FIELDS):
        squares = 0.0
        for level in LEVELS[at]:
            own = [run.value for run in runs if run.settings[at] == level]
            squares += len(own) * (fmean(own) - fmean(values)) ** 2
        expected = max(squares - (len(LEVELS[at]) - 1) * noise, 0) / total
        assert found.alone[field] == pytest.approx(expected)
    assert (found.how, found.trials, found.per_trial) == ("grid", 12, 3)
    assert math.fsum([*found.alone.values(), found.together, found.seeds]) == pytest.approx(1)
    assert found.alone["letter"] > found.together > found.alone["rate"]


def test_noise_is_the_seeds():
    rng = np.random.default_rng(5)
    shares = [importance(FIELDS, grid(lambda *_: rng.normal())) for _ in range(60)]
    assert fmean(found.seeds for found in shares) > 0.75
    assert all(fmean(found.alone[field] for found in shares) < 0.1 for field in FIELDS)


def test_an_interaction_is_in_no_setting_alone():
    found = importance(FIELDS, grid(lambda _, whole, rate: float((whole == 1) == (rate == 0.1))))
    assert found.together == pytest.approx(1)
    assert max(found.alone.values()) == pytest.approx(0)


def test_one_seed_tells_nothing_of_noise():
    found = importance(FIELDS, grid(lambda _, whole, __: float(whole), seeds=1))
    assert (found.seeds, found.alone["whole"]) == (None, pytest.approx(1))


def test_a_forest_finds_what_matters():
    pytest.importorskip("optuna")
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(25):
        rate, word = float(10 ** rng.uniform(-4, 0)), "xy"[rng.integers(2)]
        runs.append(Run((rate, word), 0, math.log10(rate) + 0.1 * rng.normal()))
    found = importance(["rate", "word"], runs)
    assert found.how == "forest"
    assert found.alone["rate"] > 0.8
    assert found.alone["word"] < 0.1


def test_too_little_is_refused():
    with pytest.raises(HarnessError, match="3 trials that are no whole grid are too few: at least 20"):
        importance(["a", "b"], [Run(cell, 0, 1.0) for cell in ((1, 1), (1, 2), (2, 1))])
    with pytest.raises(HarnessError, match="the metric is the same in all runs"):
        importance(["a"], [Run((cell,), seed, 1.0) for cell in range(3) for seed in range(2)])
    with pytest.raises(HarnessError, match="one setting, a, at one seed explains everything"):
        importance(["a"], [Run((cell,), 0, float(cell)) for cell in range(3)])
