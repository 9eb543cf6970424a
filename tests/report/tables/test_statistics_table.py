"""What stands in the small tables: what so few seeds can tell, and how p and differences are written."""

import math

import pytest

from harness.report.tables.statistics_table import can_tell, p_text, signed
from harness.report.tables.table import NumberFormat


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
    two = NumberFormat(digits=2)
    assert [signed(v, two) for v in (0.126, -0.5, 0.0, -0.001)] == ["+0.13", "−0.50", "0.00", "−1.00e-3"]
    assert signed(math.nan, two) == "nan"
    assert p_text(0.0123, 9_999) == "0.012 ± 0.001"
