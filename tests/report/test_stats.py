"""Best of k, bootstrap, one-sided and rank tests: against enumeration, closed forms and scipy."""

import itertools
import math
import random
from statistics import fmean

import pytest
import scipy.stats

from harness.report import stats

GAPS = [0.0012, -0.0004, 0.0031, 0.0008, 0.0019]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_best_of_is_the_mean_over_all_choices(k):
    draws = [max(draw) for draw in itertools.combinations(GAPS, k)]
    found = stats.best_of(GAPS, k)
    assert found.expected_best == pytest.approx(fmean(draws))
    assert found.bias == pytest.approx(fmean(draws) - fmean(GAPS))
    assert found.best == 0.0031


def test_the_best_of_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="the best of 3 needs as many values, not 2"):
        stats.best_of([0.1, 0.2], 3)


def test_the_bias_of_two_runs_is_half_their_difference():
    """Whose expectation is that of normal runs: 2 / sqrt(pi) standard deviations, halved."""
    assert stats.best_of([0.97, 0.98], 2).bias == pytest.approx(0.005)


def test_bias_of_the_better_of_two_normal_runs():
    assert stats.normal_bias(1) == 0
    assert stats.normal_bias(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert stats.normal_bias(3) == pytest.approx(1.5 / math.sqrt(math.pi))


def test_bootstrap_is_seeded_and_near_the_exact_one():
    assert stats.bootstrap(GAPS, 1) == stats.bootstrap(GAPS, 1)
    means = sorted(fmean(draw) for draw in itertools.product(GAPS, repeat=5))
    exact = means[round(0.025 * len(means))], means[round(0.975 * len(means))]
    assert stats.bootstrap(GAPS) == pytest.approx(exact, abs=1.5e-4)
    assert stats.bootstrap([1.0]) is None
    assert stats.bootstrap(GAPS, statistic=fmean) == pytest.approx(stats.bootstrap(GAPS))
    assert all(map(math.isnan, stats.bootstrap([1.0, math.nan])))


@pytest.mark.parametrize("gaps", [GAPS, [1.0, 2.0], [0.0, 0.0, 0.1], [-0.1, -0.2, -0.3]])
def test_one_sided_is_the_enumeration(gaps):
    sums = [
        sum(s * g for s, g in zip(signs, gaps, strict=True)) for signs in itertools.product((1, -1), repeat=len(gaps))
    ]
    assert stats.one_sided(gaps) == sum(total >= sum(gaps) - 1e-9 for total in sums) / len(sums)


def test_above_a_bound():
    assert stats.paired_above([0.002] * 8, 0.001).p == 2**-8
    assert stats.paired_above([0.002] * 8, 0.003).p == 1
    assert math.isnan(stats.paired_above([math.nan, 1.0]).p)


def test_mann_whitney_by_enumeration_with_ties():
    one, other = [3.0, 4.0, 4.0], [1.0, 2.0, 3.0]
    values = [*one, *other]

    def u(chosen):
        rest = [values[i] for i in range(6) if i not in chosen]
        return sum((values[i] > v) + 0.5 * (values[i] == v) for i in chosen for v in rest)

    seen = u((0, 1, 2))
    every = [u(chosen) for chosen in itertools.combinations(range(6), 3)]
    upper, lower = sum(x >= seen for x in every) / 20, sum(x <= seen for x in every) / 20
    found = stats.mann_whitney(one, other)
    assert found.p == pytest.approx(min(1, 2 * min(upper, lower)))
    assert found.smallest_p == 2 / 20
    assert "too few runs to tell (smallest attainable p 0.1)" in str(found)


def test_mann_whitney_without_ties_is_scipys():
    one, other = [1.1, 2.2, 3.3, 4.4], [5.5, 6.6, 7.7, 8.8]
    assert stats.mann_whitney(one, other).p == scipy.stats.mannwhitneyu(one, other, method="exact").pvalue == 2 / 70


def test_mann_whitney_of_many_runs_without_ties_is_scipys():
    draw = random.Random(0)  # noqa: S311
    one, other = ([round(draw.random() + shift, 9) for _ in range(20)] for shift in (0.0, 0.2))
    assert stats.mann_whitney(one, other).p == pytest.approx(
        scipy.stats.mannwhitneyu(one, other, method="exact").pvalue
    )


def test_many_runs_with_ties_are_counted_too():
    """Written out one by one these would be 1.4e11 ways, and 1.1e9 choices of signs."""
    images = [round(0.97 + i % 7 / 1000, 4) for i in range(40)]
    assert 0 < stats.mann_whitney(images[:20], images[20:]).p <= 1
    unlike = [math.sqrt(i) for i in range(1, 31)]
    assert stats.one_sided(unlike) == 2**-30
    assert stats.sign_flip([-x for x in unlike]) == 2 / 2**30


def test_what_so_few_can_tell():
    assert not stats.paired([0.1, 0.2]).can_tell
    assert stats.paired([0.1] * 6).can_tell


def test_networks_are_compared_over_images():
    one, other = [1.0] * 60 + [0.0] * 40, [1.0] * 50 + [0.0] * 50
    low, high = stats.paired_bootstrap(one, other)
    assert low > 0 < high < 0.2
    with pytest.raises(ValueError, match="zip"):
        stats.paired_bootstrap(one, other[:-1])


def test_binomial_error_of_the_papers_accuracies():
    assert stats.binomial_error(0.935, 10_000) == pytest.approx(0.00246, abs=1e-5)
    assert stats.binomial_error(0.71434, 50_000) == pytest.approx(0.00202, abs=1e-5)
