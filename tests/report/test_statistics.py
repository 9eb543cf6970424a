"""Statistics against closed forms, enumeration and scipy on data made by hand."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.report.statistics import deviation, holm, interval, mcnemar, mean, sign_flip, smallest_p
from harness.report.statistics_table import can_tell, p_text, signed

GAPS = [0.0012, -0.0004, 0.0031, 0.0008, 0.0019]


def test_mean_and_sample_deviation():
    assert mean([0.98, 0.97]) == 0.975
    assert deviation([0.98, 0.97]) == pytest.approx(0.01 / math.sqrt(2), abs=1e-9)
    assert deviation(GAPS) == pytest.approx(np.std(GAPS, ddof=1), abs=1e-9)
    assert deviation([0.98]) is None
    assert math.isnan(mean([0.98, math.nan]))
    assert math.isnan(deviation([0.98, math.nan]))


def test_interval_is_students():
    expected = scipy.stats.ttest_1samp(GAPS, 0).confidence_interval(0.95)
    assert interval(GAPS) == pytest.approx(tuple(expected), abs=1e-9)


def test_interval_of_two_by_hand():
    """t with one degree of freedom is Cauchy's: its 97.5 % point is tan(0.475 pi)."""
    low, high = interval([1.0, 3.0])
    reach = math.tan(0.475 * math.pi) * math.sqrt(2) / math.sqrt(2)
    assert (low, high) == pytest.approx((2 - reach, 2 + reach), abs=1e-9)


def test_interval_needs_two_numbers():
    assert interval([0.1]) is None
    assert all(map(math.isnan, interval([0.1, math.nan])))


def _enumerated(values):
    """The share of all choices of signs that are as far from zero, by listing them."""
    sums = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in _signs(len(values))]
    return sum(total >= abs(sum(values)) for total in sums) / len(sums)


def _signs(n):
    return list(itertools.product((1, -1), repeat=n))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_sign_flip_is_the_enumeration(images):
    assert sign_flip([n / 10_000 for n in images]) == _enumerated(images)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=7))
def test_sign_flip_sees_ties_that_floats_do_not_show(images):
    assert sign_flip([n / 360 for n in images]) == _enumerated(images)


def test_sign_flip_by_hand():
    assert sign_flip([0.1, 0.2]) == 0.5  # ++ and --, of four
    assert sign_flip([0.1, -0.2]) == 1.0  # all four are at least 0.1 from zero
    assert sign_flip([0.3, 0.2, -0.1]) == 0.5  # of eight: +++, ++-, --+, ---
    assert sign_flip([0.0, 0.0]) == 1.0
    assert math.isnan(sign_flip([0.1, math.nan]))


@pytest.mark.parametrize("n", [1, 2, 5, 6, 10, 16])
def test_the_smallest_p_is_that_of_differences_that_all_point_one_way(n):
    values = [0.001 * (i + 1) for i in range(n)]
    assert sign_flip(values) == sign_flip([-v for v in values]) == smallest_p(n) == 2 / 2**n


def test_many_seeds_are_counted_not_listed():
    assert sign_flip([0.0001] * 40) == 2 / 2**40


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_nan_is_no_test_for_holm():
    first, second, third = holm([0.02, math.nan, 0.03])
    assert (first, third) == (0.04, 0.04)
    assert math.isnan(second)


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (0, 5), (3, 3), (8, 1), (44, 37), (310, 251)])
def test_mcnemar_is_a_binomial_test(counts):
    b, c = counts
    n = b + c
    naive = sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= abs(b - c)) / 2**n
    assert mcnemar(b, c) == mcnemar(c, b) == pytest.approx(naive, rel=1e-12)
    if n:
        assert mcnemar(b, c) == pytest.approx(scipy.stats.binomtest(b, n).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("seeds", "tests", "words"),
    [
        (1, 3, "1 seed cannot tell: there is no spread"),
        (2, 1, "2 seeds cannot tell: even if all differences pointed one way, p would be 0.5."),
        (
            3,
            6,
            "3 seeds cannot tell: even if all differences pointed one way, p would be 0.25 (1 after the correction).",
        ),
        (6, 6, "6 seeds can tell one difference (p no smaller than 0.031), but not 6 rows: after the correction no p"),
        (10, 6, "10 seeds give no smaller p than 0.002, 0.012 after the correction."),
    ],
)
def test_what_so_many_seeds_can_tell(seeds, tests, words):
    assert can_tell(seeds, tests).startswith(words)


def test_texts():
    assert [p_text(p) for p in (1.0, 0.5, 0.03125, 0.00012, 0.00001)] == ["1", "0.5", "0.031", "0.00012", "< 0.0001"]
    assert [signed(v, 2) for v in (0.126, -0.5, 0.0, -0.001)] == ["+0.13", "−0.50", "0.00", "0.00"]
    assert signed(math.nan, 2) == "nan"
