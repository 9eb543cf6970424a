"""The mixed model: statsmodels' numbers where seeds lack runs, and one contrast per seed where they do not."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from harness.stats.mixed import fit
from harness.stats.tests import deviation, mean

THEIRS = json.loads((Path(__file__).parent / "golden_of_others.json").read_text())["mixed"]


def test_the_numbers_are_those_of_statsmodels():
    cells = THEIRS["cells"]
    rows = [(a - 0.5, b - 0.5, (a - 0.5) * (b - 0.5)) for _, a, b, _ in cells]
    ours = fit(rows, [value for *_, value in cells], [seed for seed, *_ in cells])
    assert [each.estimate for each in ours.effects] == pytest.approx(list(THEIRS["effects"].values()), abs=1e-8)
    assert [each.error for each in ours.effects] == pytest.approx(list(THEIRS["errors"].values()), abs=1e-7)
    assert (ours.between, ours.within) == pytest.approx((THEIRS["between"], THEIRS["within"]), rel=1e-6)
    assert ours.log_likelihood == pytest.approx(THEIRS["log_likelihood"], abs=1e-9)
    assert ours.df == 18 - 6 - 3  # runs, seeds with the intercept, effects


def test_of_balanced_runs_the_effects_are_contrasts_per_seed():
    draw = np.random.RandomState(0)
    cells = list(itertools.product(range(5), (0, 1), (0, 1)))
    values = {cell: float(cell[0] + 2 * cell[1] - cell[2] + draw.normal()) for cell in cells}
    model = fit([(a - 0.5, b - 0.5) for _, a, b in cells], list(values.values()), [seed for seed, *_ in cells])
    contrasts = [
        (values[s, 1, 0] + values[s, 1, 1] - values[s, 0, 0] - values[s, 0, 1]) / 2 for s in range(5)
    ]  # fmt: skip
    assert model.effects[1].estimate == pytest.approx(mean(contrasts))


def test_two_runs_per_seed_are_the_paired_t_test():
    gaps = [0.3, 0.1, 0.4, 0.2, -0.1, 0.5]
    values = [value for i, gap in enumerate(gaps) for value in (3.0 * i, 3.0 * i + gap)]
    model = fit([[0.0], [1.0]] * 6, values, [i // 2 for i in range(12)])
    assert model.df == 5
    assert model.effects[1].estimate == pytest.approx(mean(gaps))
    assert model.effects[1].error == pytest.approx(deviation(gaps) / math.sqrt(6), rel=1e-6)


def test_seeds_that_do_not_differ_have_no_variance():
    """Residuals that cancel within each seed: REML is at its bound."""
    model = fit([[0.0], [1.0]] * 4, [1, 2.5, -1, 0.5, 1.1, 1.9, -1.1, 1.2], [0, 0, 0, 0, 1, 1, 1, 1])
    assert model.between == 0
    assert model.within > 0


def test_runs_that_tell_nothing_apart_are_refused():
    with pytest.raises(ValueError, match="apart"):
        fit([[1.0], [1.0], [1.0]], [1, 2, 3], [0, 1, 2])
    with pytest.raises(ValueError, match="apart"):
        fit([[0.0], [1.0]], [1, 2], [0, 0])
