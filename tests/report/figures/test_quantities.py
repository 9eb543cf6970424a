"""The numbers behind Figs. 4 to 6, against plain loops and cases that can be counted by hand."""

import itertools
import math

import numpy as np
import pytest

from harness.report.figures.quantities import (
    area,
    late_mean,
    similarity,
    steps_to,
    successive_deviation,
    total_variation,
)
from harness.report.figures.results import Series

CURVE = Series((100, 200, 300, 400, 500), (0.90, 0.96, 0.98, 0.95, 0.97))


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(3, 4, 5, 6))


def test_a_curve_in_numbers():
    assert area(CURVE) == pytest.approx(0.952)
    assert steps_to(CURVE, 0.97) == 300
    assert steps_to(CURVE, 0.99) == 600  # never: the last step and one interval
    assert late_mean(CURVE, 300) == pytest.approx(0.96)
    assert successive_deviation(CURVE, 200) == pytest.approx(np.std([-0.03, 0.02], ddof=1))


def test_what_cannot_be_known_is_nan():
    assert math.isnan(successive_deviation(CURVE, 300))
    assert math.isnan(late_mean(CURVE, 500))


def test_total_variation_is_that_of_a_plain_loop(maps):
    maps[1, 2] = 7.0  # a constant map is left out
    values = []
    for image, channel in itertools.product(range(3), range(4)):
        m = maps[image, channel]
        if m.std() == 0:
            continue
        across = np.mean([abs(m[i, j + 1] - m[i, j]) for i in range(5) for j in range(5)])
        down = np.mean([abs(m[i + 1, j] - m[i, j]) for i in range(4) for j in range(6)])
        values.append((across + down) / 2 / m.std())
    assert len(values) == 11
    assert total_variation(maps) == pytest.approx(np.mean(values))


def test_total_variation_knows_no_scale_and_grows_with_roughness(maps):
    smooth = np.cumsum(np.cumsum(maps, axis=2), axis=3)
    assert total_variation(3 * maps + 1) == pytest.approx(total_variation(maps))
    assert total_variation(smooth) < total_variation(maps)
    assert math.isnan(total_variation(np.zeros((2, 3, 4, 4))))


def test_similarity_is_that_of_the_kernels(maps):
    other = np.random.default_rng(1).normal(size=(3, 2, 5, 6))
    expected = []
    for a, b in zip(maps, other, strict=True):
        x, y = a.reshape(4, -1).T, b.reshape(2, -1).T
        centre = np.eye(30) - 1 / 30
        k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
        expected.append(np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m)))
    assert similarity(maps, other) == pytest.approx(np.mean(expected))
    assert similarity(maps, maps) == pytest.approx(1)
    assert similarity(maps, 2 * maps[:, ::-1] - 3) == pytest.approx(1)  # neither scale, shift nor order of channels
