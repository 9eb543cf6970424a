"""What stands under a table on how far its numbers can be trusted."""

import math
from dataclasses import replace

import pytest
from records import entry, snapshot, table1, train

from harness.report import expected_configs, expected_settings, render, table_document
from harness.report.tables.uncertainty import accuracy_note, choosing

CONFIGS = expected_configs(table1())
SPATIAL = "Feature pooling (spatial pooling), 50%"


def test_choosing_adds_half_the_difference_of_two():
    told = choosing([{0: 0.97, 1: 0.98}, {0: 0.96, 1: 0.98}], 2)
    assert (told.bias, told.rows, told.runs) == (pytest.approx(0.0075), 2, 4)
    assert told.without_a_seed is None  # one run is no choice


def test_where_lower_is_better_it_is_a_gain_too():
    row = {0: 0.97, 1: 0.98}
    assert choosing([row], 2, "lower").bias == choosing([row], 2).bias == pytest.approx(0.005)


def test_a_seed_is_left_out_of_all_rows_at_once():
    """Two rows that are the same say no more than one: half of 0.1 without seed 2, half of 0.3 without seed 1."""
    row = {0: 0.1, 1: 0.2, 2: 0.4}
    for rows in ([row], [row, row]):
        told = choosing(rows, 2)
        assert told.bias == pytest.approx((0.2 + 0.4 + 0.4) / 3 - 0.7 / 3)
        assert told.without_a_seed == (pytest.approx(0.05), pytest.approx(0.15))  # without seed 2, without seed 1


@pytest.mark.parametrize("rows", [[], [{0: 0.1}], [{0: 0.1, 1: math.nan}]])
def test_too_few_runs_or_nan_say_nothing(rows):
    assert choosing(rows, 2) is None
    assert choosing([{0: 0.1, 1: 0.2}], 1) is None


def test_the_error_of_an_accuracy():
    assert accuracy_note([0.98, 0.98], 10_000, "accuracy").startswith(
        "On 10,000 test images the binomial standard error of an accuracy of 98.0% is ±0.14 percentage points"
    )
    assert "of 50.0% to 90.0% is ±3.00 to ±5.00 percentage points" in accuracy_note([0.9, 0.5], 100, "share")


def stored(seeds):
    runs = [
        train(f"{label[-9:]} {s}", CONFIGS[label], s, 0.97 + 0.002 * s)
        for label in ("Baseline", SPATIAL)
        for s in range(seeds)
    ]
    return snapshot([entry("Baseline"), entry(SPATIAL)], runs, seeds=tuple(range(seeds)))


def shown(snap, fmt="md", **options):
    return render(table_document(snap, table1(), CONFIGS, expected_settings(table1()), **options), fmt)


def test_all_stored_seeds_count_for_what_the_best_of_two_adds():
    """Of 0, 0.002 and 0.004 the better of two is 0.00333 on average, 0.00133 above the mean; of the first two 0.001."""
    assert "By the 4 stored runs of 2 rows, the best of two is expected to lie 0.00100 above the mean" in shown(
        stored(2)
    )
    assert "By the 6 stored runs of 2 rows, the best of two is expected to lie 0.00133 above the mean" in shown(
        stored(3)
    )
    assert "the best of two is expected" in shown(stored(2), "latex")
    assert "the best of two is expected" not in shown(stored(2), select="mean")


def test_without_the_size_of_the_test_set_nothing_is_said():
    assert "On 10,000 test images" in shown(stored(2), select="mean")
    assert "binomial" not in shown(replace(stored(2), datasets={}), select="mean")
