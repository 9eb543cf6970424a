"""Statistics against closed forms, enumeration and scipy on data made by hand."""

import itertools
import math
import random
import time
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import tests as stats
from harness.stats.front import pareto

GAPS = [0.0012, -0.0004, 0.0031, 0.0008, 0.0019]


def test_mean_and_sample_deviation():
    assert stats.mean([0.98, 0.97]) == 0.975
    assert stats.deviation([0.98, 0.97]) == pytest.approx(0.01 / math.sqrt(2), abs=1e-9)
    assert stats.deviation(GAPS) == pytest.approx(np.std(GAPS, ddof=1), abs=1e-9)
    assert stats.deviation([0.98]) is None
    assert math.isnan(stats.mean([0.98, math.nan]))
    assert math.isnan(stats.deviation([0.98, math.nan]))


def test_interval_is_students():
    expected = scipy.stats.ttest_1samp(GAPS, 0).confidence_interval(0.95)
    assert stats.interval(GAPS) == pytest.approx(tuple(expected), abs=1e-9)


def test_interval_of_two_by_hand():
    """t with one degree of freedom is Cauchy's: its 97.5 % point is tan(0.475 pi)."""
    low, high = stats.interval([1.0, 3.0])
    reach = math.tan(0.475 * math.pi) * math.sqrt(2) / math.sqrt(2)
    assert (low, high) == pytest.approx((2 - reach, 2 + reach), abs=1e-9)


def test_interval_needs_two_numbers():
    assert stats.interval([0.1]) is None
    assert all(map(math.isnan, stats.interval([0.1, math.nan])))


def _enumerated(values):
    """The share of all choices of signs that are as far from zero, by listing them."""
    sums = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in _signs(len(values))]
    return sum(total >= abs(sum(values)) for total in sums) / len(sums)


def _signs(n):
    return list(itertools.product((1, -1), repeat=n))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_sign_flip_is_the_enumeration(images):
    assert stats.sign_flip([n / 10_000 for n in images]) == _enumerated(images)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=7))
def test_sign_flip_sees_ties_that_floats_do_not_show(images):
    assert stats.sign_flip([n / 360 for n in images]) == _enumerated(images)


def test_sign_flip_by_hand():
    assert stats.sign_flip([0.1, 0.2]) == 0.5  # ++ and --, of four
    assert stats.sign_flip([0.1, -0.2]) == 1.0  # all four are at least 0.1 from zero
    assert stats.sign_flip([0.3, 0.2, -0.1]) == 0.5  # of eight: +++, ++-, --+, ---
    assert stats.sign_flip([0.0, 0.0]) == 1.0
    assert math.isnan(stats.sign_flip([0.1, math.nan]))


@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 16])
def test_the_smallest_p_is_that_of_differences_that_all_point_one_way(n):
    values = [0.001 * (i + 1) for i in range(n)]
    assert stats.sign_flip(values) == stats.sign_flip([-v for v in values]) == stats.smallest_p(n) == 2 / 2**n


def test_many_seeds_are_counted_not_listed():
    assert stats.sign_flip([0.0001] * 40) == 2 / 2**40


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.5, 0.5]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_nan_is_no_test_for_holm():
    first, second, third = stats.holm([0.02, math.nan, 0.03])
    assert (first, third) == (0.04, 0.04)
    assert math.isnan(second)


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (0, 5), (3, 3), (8, 1), (44, 37), (310, 251)])
def test_mcnemar_is_a_binomial_test(counts):
    b, c = counts
    n = b + c
    naive = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(b - c)) / 2**n
    assert stats.mcnemar(b, c) == stats.mcnemar(c, b) == pytest.approx(naive, rel=1e-12)
    if n:
        assert stats.mcnemar(b, c) == pytest.approx(scipy.stats.binomtest(b, n).pvalue, rel=1e-9)


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


def test_one_sided_around_a_bound():
    assert stats.one_sided([0.002 - 0.001] * 8) == 2**-8
    assert stats.one_sided([0.002 - 0.003] * 8) == 1
    assert math.isnan(stats.one_sided([math.nan, 1.0]))


@pytest.mark.parametrize("unit", [1e-300, 1e-15, 1e-9, 1.0, 1e12])
def test_the_unit_of_a_metric_changes_nothing_but_the_unit(unit):
    """Whatever is equal follows from the data: a metric of 1e-9 is as good as one of 1."""
    values = [1.0, 1.1, 1.25, 1.05, 1.4, 1.3, 1.2, 1.15]
    assert stats.sign_flip([v * unit for v in values]) == stats.smallest_p(8) == 2 / 2**8
    assert stats.one_sided([v * unit for v in values]) == 2**-8
    mixed = [v - 1.1913 for v in values]
    assert stats.sign_flip([v * unit for v in mixed]) == _enumerated(mixed)
    for of in (stats.mean, stats.deviation, stats.interval):
        found, expected = (np.asarray(of([v * by for v in values])) for by in (unit, 1.0))
        assert found == pytest.approx(expected * unit, rel=1e-12)
    low, high = stats.interval([v * unit for v in values])
    assert low < stats.mean([v * unit for v in values]) < high


def test_the_rounding_of_floats_is_no_difference():
    assert stats.gap(0.9787, 0.9783) == 0.0004
    assert stats.gap(0.3, 0.1 + 0.2) == 0
    assert math.copysign(1, stats.gap(0.3, 0.1 + 0.2)) == 1
    assert stats.gap(3.1e-9, 3e-9) == 1e-10
    assert stats.deviation([0.3, 0.1 + 0.2]) == 0


def test_what_is_too_much_to_count_is_drawn_in_the_same_way_each_time():
    draw = random.Random(1)  # noqa: S311
    values = [draw.gauss(0.25, 1) for _ in range(40)]
    counted = stats.sign_flip(values)
    many = [*values, 1e-6]  # one more, of no weight: the same test, but for the draws
    drawn = stats.sign_flip(many)
    assert stats.sign_flip(many) == drawn != counted
    assert abs(drawn - counted) < 4 * stats.draw_error(counted, stats.draws(41))
    assert abs(stats.one_sided(many) - stats.one_sided(values)) < 4 * stats.draw_error(counted, stats.draws(41))


@pytest.mark.parametrize(
    ("n", "tests", "expected"), [(40, 500, None), (41, 1, 9_999), (300, 22, 9_999), (41, 50, 20_000)]
)
def test_how_many_choices_of_signs_are_drawn(n, tests, expected):
    assert stats.draws(n, tests) == expected


@pytest.mark.parametrize("sides", [1, 2])
def test_the_smallest_p_of_many_is_what_the_test_gives(sides):
    """(b + 1)/(B + 1) with no draw as extreme: far below alpha after Holm, so that draws never hide an effect."""
    test = stats.one_sided if sides == 1 else stats.sign_flip
    for tests in (1, 22, 200):
        least = stats.smallest_p(60, sides, tests)
        assert test([1 + i / 7 for i in range(60)], tests) == least == 1 / (stats.draws(60, tests) + 1)
        assert least * tests <= stats.ALPHA / 20
    assert test([-1.0] * 30 + [1.0] * 30) > 0.5


def test_a_thousand_seeds_take_no_time():
    draw = random.Random(2)  # noqa: S311
    started = time.process_time()
    one, other = ([draw.gauss(shift, 1) for _ in range(1000)] for shift in (0.2, 0.0))
    found = stats.mann_whitney(one, other)
    assert (found.draws, found.p) == (9_999, found.smallest_p)
    assert stats.paired(one).p == stats.paired(one).smallest_p == 1e-4
    assert stats.paired(one).error == pytest.approx(1e-4, rel=0.01)
    assert str(stats.paired(one)) == "p 0.0001 ± 0.0001 (smallest attainable 0.0001; 9,999 draws)"
    assert time.process_time() - started < 30


@pytest.mark.parametrize("sizes", [(50, 50), (8, 300)])
def test_rank_sums_are_counted_as_scipy_counts_them(sizes):
    draw = random.Random(3)  # noqa: S311
    one, other = ([draw.gauss(shift, 1) for _ in range(n)] for n, shift in zip(sizes, (0.0, 0.3), strict=True))
    expected = scipy.stats.mannwhitneyu(one, other, method="exact").pvalue
    assert stats.mann_whitney(one, other).p == pytest.approx(expected)
    assert stats.mann_whitney(other, one).p == pytest.approx(expected)


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
    assert stats.paired_bootstrap(one[:5], other[:5]) is None  # its ends would be the images' own
    assert stats.paired_bootstrap(one[:6], other[:6]) is not None


def test_an_interval_over_seeds_and_images_has_the_width_of_both():
    """Of a method with seeds against one without: the variance of a mean over seeds and images, images in common."""
    draw = np.random.default_rng(5)
    seeds, images = 40, 60
    plain = draw.normal(28, 3, images)
    by_seed, by_image = draw.normal(0, 0.5, seeds), draw.normal(0, 0.4, images)
    method = plain + by_image + by_seed[:, None]
    low, high = stats.crossed_bootstrap(method, [plain])
    width = 2 * 1.96 * math.sqrt(np.var(by_seed) / seeds + np.var(by_image) / images)
    assert abs((high - low) / width - 1) < 0.05
    assert low < np.mean(by_seed) + np.mean(by_image) < high
    one = stats.crossed_bootstrap(method[:1], [plain])  # a single run of each: over the images alone
    assert np.allclose(one, stats.paired_bootstrap(method[0], plain), atol=0.02)
    few = stats.FEWEST_IMAGES - 1
    assert stats.crossed_bootstrap([plain[:few]], [plain[:few]]) is None
    assert stats.crossed_bootstrap([plain[: few + 1]], [plain[: few + 1]]) == (0, 0)
    with pytest.raises(ValueError, match="not of the same images"):
        stats.crossed_bootstrap(method, [plain[:-1]])


def test_binomial_error_of_the_papers_accuracies():
    assert stats.binomial_error(0.935, 10_000) == pytest.approx(0.00246, abs=1e-5)
    assert stats.binomial_error(0.71434, 50_000) == pytest.approx(0.00202, abs=1e-5)


def test_the_front_is_that_of_all_pairs():
    rng = np.random.default_rng(2)
    for _ in range(30):
        points = [(float(c), float(v)) for c, v in rng.integers(0, 6, size=(12, 2))]
        beaten = [
            any(c2 <= c and v2 >= v and (c2, v2) != (c, v) for c2, v2 in points)
            for c, v in points
        ]  # fmt: skip
        unbeaten = [i for i, b in enumerate(beaten) if not b]
        assert pareto(points) == sorted(unbeaten, key=lambda i: (points[i][0], i))
    assert pareto([(1.0, 2.0), (1.0, 2.0), (0.5, 2.0)]) == [2]
    assert pareto([(1.0, 2.0), (1.0, 2.0)]) == [0, 1]
