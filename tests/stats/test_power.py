"""Power before running: against the test itself on simulated gaps, and against the t distribution."""

import numpy as np
import pytest

from harness.stats.power import COUNTED, Test, _draws, _student, power, seeds_for, smallest_effect
from harness.stats.tests import one_sided, smallest_p


def test_the_shift_from_which_it_rejects_is_that_of_the_test_itself():
    test, n, effect = Test(tests=2), 7, 1.1
    gaps = np.random.default_rng(n).standard_normal((500, n)).astype(np.float32)[:60]  # as the power draws
    shifts, means = _draws(n, test.critical(n))
    rejected = [one_sided([float(z) + effect for z in row]) < test.alpha / test.tests for row in gaps]
    assert list(shifts[:60] < effect) == rejected
    assert 10 < sum(rejected) < 50
    assert means[:60] == pytest.approx(gaps.mean(axis=1))


@pytest.mark.parametrize(("n", "tests"), [(6, 1), (9, 4)])
def test_what_is_predicted_is_what_comes(n, tests):
    draw = np.random.default_rng(1)
    test = Test(tests)
    realised = np.mean([one_sided(list(draw.standard_normal(n) + 1.0)) < test.alpha / tests for _ in range(1500)])
    assert power(n, 1.0, test) == pytest.approx(realised, abs=0.03)


def test_counting_goes_over_into_students_distribution():
    assert power(COUNTED, 0.8, Test(2)) == pytest.approx(_student(COUNTED, 0.8, Test(2), 0), abs=0.02)
    assert power(20, 0.8, Test(2), needed=0.8) == pytest.approx(0.5, abs=0.03)


def test_too_few_seeds_have_no_power_at_any_effect():
    test = Test(tests=22)
    assert (test.least, smallest_p(8, 1) * 22 > 0.05, power(8, 9.0, test), smallest_effect(8, test)) == (
        9,
        True,
        0,
        None,
    )


def test_the_smallest_effect_and_the_seeds_for_it_agree():
    test = Test(tests=2)
    effect = smallest_effect(9, test)
    assert power(9, effect, test) == pytest.approx(0.8, abs=0.001)
    assert seeds_for(effect * 1.001, test) == 9
    assert smallest_effect(9, test, needed=1.0) > effect
    assert seeds_for(0.01, test) is None
