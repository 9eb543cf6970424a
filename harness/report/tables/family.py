"""A family of McNemar tests that a table's file has written down before its runs: one row against another, column by
column, on the same images.

Every column counts for Holm's correction, whether anything is stored of it or not. If networks of several seeds are
compared, all of them have to show the same: the largest of their p counts, and it is 1 if they point both ways.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.document import Note
from harness.report.tables.cells import TracedCell
from harness.report.tables.statistics_table import p_text
from harness.report.tables.table import Table
from harness.stats.comparison import McNemar
from harness.stats.tests import holm


@dataclass(frozen=True)
class FamilyTest:
    """What one column shows: the tests of its networks, one per seed, and their p together."""

    column: str
    pairs: tuple[McNemar, ...]
    p: float
    p_holm: float

    @property
    def side(self) -> int:
        """1 if each network is right more often in the row, -1 if in the other one, else 0."""
        sides = {_side(pair) for pair in self.pairs}
        return sides.pop() if len(sides) == 1 else 0


def family_tests(table: Table, found: Sequence[TracedCell]) -> list[FamilyTest]:
    """Return the tests of a table's family, from cells with their statistics; nothing of a table without one."""
    if table.family is None:
        return []
    cells = {(f.row.label, f.column.key): f.cell for f in found}
    pairs = []
    for key in table.family.columns:
        statistics = cells[table.family.row, key].statistics
        pairs.append(() if statistics is None else statistics.mcnemar_by_seed)
    ps = [_together(each) for each in pairs]
    corrected = holm(ps)
    labels = [table.column(key).label for key in table.family.columns]
    return [FamilyTest(*each) for each in zip(labels, pairs, ps, corrected, strict=True)]


def family_note(table: Table, found: Sequence[TracedCell]) -> Note | None:
    """Return a table's family in words; None of a table without one, or if nothing is stored of it."""
    family, tests = table.family, family_tests(table, found)
    if family is None or not any(test.pairs for test in tests):
        return None
    other = str({row.label: row for row in table.rows}[family.row].against)
    ahead = [test for test in tests if test.p_holm < family.alpha and test.side > 0]
    behind = [test for test in tests if test.p_holm < family.alpha and test.side < 0]
    several = max(len(test.pairs) for test in tests) > 1
    seeds = " Of the networks of several seeds the largest p counts, 1 if they point both ways." if several else ""
    text = (
        f"{family.question} Written down on {family.entered}, before any of these results: {family.row} against"
        f" {other}, by exact two-sided McNemar tests on the same images, with Holm's correction over all"
        f" {len(tests)}.{seeds} {family.row} is right more often in {_of(ahead)}, {other} in {_of(behind)}."
    )
    return Note(text, tuple(_line(test) for test in tests))


def _together(pairs: Sequence[McNemar]) -> float:
    """Return the p that all networks show the same side; 1 for none."""
    if not pairs or len({_side(pair) for pair in pairs}) > 1:
        return 1.0
    return max(pair.p for pair in pairs)


def _side(pair: McNemar) -> int:
    return int(math.copysign(1, gap)) if (gap := pair.only_this - pair.only_against) else 0


def _line(test: FamilyTest) -> str:
    if not test.pairs:
        return f"{test.column}: nothing stored"
    counts = ", ".join(f"{pair.only_this}/{pair.only_against}" for pair in test.pairs)
    return f"{test.column}: {counts}; p {p_text(test.p)} ({p_text(test.p_holm)})"


def _of(tests: Sequence[FamilyTest]) -> str:
    return f"{len(tests)} ({'; '.join(test.column for test in tests)})" if tests else "none"
