"""What so many seeds can tell before anything has run."""

from pathlib import Path

import pytest

from harness.report.attainable import Attainable, as_fields, attainable, in_a_line
from harness.stats.tests import one_sided, sign_flip

LINE = (
    "{} the smallest p that paired sign-flips can give is {}, after Holm over 22 claims (Table 1) {}, over 9 claims {}"
)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        (10, LINE.format("10 seeds:", "0.00098", "0.021", "(Figs. 4 to 6) 0.0088")),
        (9, LINE.format("9 seeds:", "0.002", "0.043", "(Figs. 4 to 6) 0.018")),
        (
            8,
            LINE.format("8 seeds:", "0.0039", "0.086", "(Figs. 4 to 6) 0.035")
            + ": too few runs to tell all, 9 seeds would be enough",
        ),
        (
            2,
            LINE.format("2 seeds:", "0.25", "1", "(Figs. 4 to 6) 1")
            + ": too few runs to tell, 9 seeds would be enough",
        ),
    ],
)
def test_a_study_of_claims(seeds, words):
    assert in_a_line(attainable("claims-mnist", [range(seeds)] * 7)) == words


def test_the_document_shows_what_a_dry_run_prints():
    text = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert in_a_line(attainable("claims-mnist", [range(9)] * 7)) in text


def test_any_other_study_is_a_table_of_rows():
    found = attainable("mine", [(0, 1, 2), (0, 1, 2, 3), (1, 2, 0)])
    assert in_a_line(found) == (
        "3 seeds: the smallest two-sided p that paired sign-flips can give is 0.25, after Holm over 2 rows 0.5:"
        " too few runs to tell, 7 seeds would be enough"
    )
    assert as_fields(found) == {"smallest_p": 0.25, "smallest_p_holm": 0.5, "tests": 2, "draws": None}


@pytest.mark.parametrize("seeds", [[], [(0, 1)], [(0,), (1,)]])
def test_without_a_pair_nothing_is_said(seeds):
    assert attainable("mine", seeds) == []
    assert as_fields([]) == {"smallest_p": None, "smallest_p_holm": None, "tests": None, "draws": None}


@pytest.mark.parametrize(("tests", "sides", "enough"), [(1, 1, 5), (1, 2, 6), (22, 1, 9), (25, 1, 9), (26, 1, 10)])
def test_enough_is_the_first_number_that_is(tests, sides, enough):
    assert Attainable(2, tests, "rows", sides).enough == enough
    assert Attainable(enough, tests, "rows", sides).p_holm < 0.05 <= Attainable(enough - 1, tests, "rows", sides).p_holm


@pytest.mark.parametrize(("seeds", "tests", "sides"), [(9, 22, 1), (40, 3, 2), (41, 3, 2), (100, 22, 1), (64, 500, 2)])
def test_it_is_what_the_test_of_so_many_differences_gives(seeds, tests, sides):
    """Counted or drawn: differences that all point one way have the p that the dry run promises."""
    promised = Attainable(seeds, tests, "rows", sides)
    test = one_sided if sides == 1 else sign_flip
    assert test([1 + i / 7 for i in range(seeds)], tests, promised.alpha) == promised.p
    assert promised.p_holm == min(1.0, tests * promised.p) < promised.alpha


def test_a_dry_run_says_how_many_signs_would_be_drawn():
    found = attainable("mine", [range(50)] * 3)
    assert in_a_line(found) == (
        "50 seeds: the smallest two-sided p that paired sign-flips can give is 0.0001 by 9,999 draws of the signs,"
        " after Holm over 2 rows 0.0002"
    )
    assert as_fields(found) == {"smallest_p": 1e-4, "smallest_p_holm": 2e-4, "tests": 2, "draws": 9_999}
