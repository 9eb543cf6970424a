"""The gains that a paper prints beside the gains of our runs, chosen as the paper chose its own: exploratory.

A table of the better of two runs prints a gain over its baseline. Among our n seeds there are C(n, 2) pairs; each gives
the better of two of the row less the better of two of the baseline. Where no pair reaches the printed gain, it is not
what such runs give here. This was written on 2026-11-29, when all results of Table 1 were known, and the side that is
tested (ours below the printed gain) was chosen with them in view: so it is no test of a claim, and new seeds are to
confirm it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from harness.report.tables.cells import TracedCell
from harness.report.tables.compare import rows_alike, values_by_seed
from harness.report.tables.statistics_table import p_text, seeds_text, signed
from harness.report.tables.table import Column, NumberFormat, Table
from harness.stats.comparison import gaps
from harness.stats.tests import ALPHA, gap, holm, one_sided
from harness.store.records import Snapshot


@dataclass(frozen=True)
class PrintedGain:
    """A row's printed gain over the row that it is compared with, beside ours; in the column's unit, a gain above 0."""

    table: int | str
    row: str
    against: str
    column: str
    digits: int  # that the table prints
    printed: float
    seeds: tuple[int, ...]
    best_of: int
    choices: int  # of so many seeds, the same for both rows
    least: float  # of the gains of the best, over all choices
    most: float
    reaching: int  # choices whose gain is at least the printed one
    p: float  # one-sided exact sign flips: the paired differences of single runs lie below the printed gain
    p_holm: float = 1.0  # over the table's rows

    @property
    def excluded(self) -> bool:
        """Whether no choice reaches the printed gain, and the test rejects after the correction."""
        return self.reaching == 0 and self.p_holm < ALPHA


def printed_gains(snapshot: Snapshot, table: Table, found: Sequence[TracedCell]) -> list[PrintedGain]:
    """Return the printed gains of a table beside ours, of its filled-in cells: for rows that are as the paper describes
    them, and with so many seeds that a test could reject.
    """
    made = []
    for column in (c for c in table.columns if c.source == "result" and table.select == "best"):
        rows = {f.row.label: f for f in found if f.column.key == column.key and f.cell.match == "exact"}
        gains = [gain for row in rows.values() if (gain := _gain(snapshot, table, column, row, rows)) is not None]
        corrected = holm([gain.p for gain in gains])
        made += [replace(gain, p_holm=p) for gain, p in zip(gains, corrected, strict=True)]
    return made


def _gain(
    snapshot: Snapshot, table: Table, column: Column, row: TracedCell, rows: Mapping[str, TracedCell]
) -> PrintedGain | None:
    against = table.against(row.row)
    other = None if against is None else rows.get(against)
    k = len(table.seeds(row.row))
    if other is None or row.cell.paper is None or other.cell.paper is None or not rows_alike(row, other):
        return None
    sign = 1 if column.better == "higher" else -1
    mine, theirs = values_by_seed(snapshot, row), values_by_seed(snapshot, other)
    gaps_by_seed = gaps(theirs, mine)
    seeds = tuple(gaps_by_seed)
    if 2.0 ** -len(seeds) >= ALPHA or not all(math.isfinite(by[seed]) for by in (mine, theirs) for seed in seeds):
        return None
    printed = sign * gap(row.cell.paper, other.cell.paper)
    gains = [
        gap(max(sign * mine[seed] for seed in chosen), max(sign * theirs[seed] for seed in chosen))
        for chosen in combinations(seeds, k)
    ]
    p = one_sided([gap(printed, sign * between) for between in gaps_by_seed.values()])
    return PrintedGain(
        table=table.table,
        row=row.row.label,
        against=other.row.label,
        column=column.label,
        digits=column.format.digits,
        printed=printed,
        seeds=seeds,
        best_of=k,
        choices=len(gains),
        least=min(gains),
        most=max(gains),
        reaching=sum(gain >= printed for gain in gains),
        p=p,
    )


def gain_lines(gains: Sequence[PrintedGain], tests: int | None = None) -> list[str]:
    """Return the gains of a table in sentences, a row each; nothing of none.

    `tests`: of the table's claims over seeds: what stays excluded when p is corrected over all of these is said too.
    """
    if not gains:
        return []
    first = gains[0]
    best = f"the best of {first.best_of}"
    head = (
        "Exploratory, written on 2026-11-29 after these results: a row's printed gain beside the gains of ours, which"
        f" are {best} of its seeds less {best} of {first.against}'s at the same seeds, over all {first.choices} choices"
        f" among seeds {seeds_text(first.seeds)}. p: one-sided exact sign flips, that the paired differences lie below"
        f" the printed gain; in brackets after Holm's correction over the {len(gains)} rows."
    )
    rows = [
        f"{g.row}: printed {_signed(g.printed, g.digits)}, ours {_span(g.least, g.most, g.digits)}, reached by"
        f" {g.reaching} of {g.choices}; p {p_text(g.p)} ({p_text(g.p_holm)})."
        for g in gains
    ]
    lines = [head, *rows, _conclusion([g for g in gains if g.excluded], f"of the {len(gains)} rows")]
    if tests is not None:
        stay = [g for g in gains if g.reaching == 0 and tests * g.p < ALPHA]
        smallest = f"p {p_text(tests * max(g.p for g in stay))}; " if stay else ""
        over = f"after a correction over the {tests} tests over seeds of this table's claims"
        lines.append(_conclusion(stay, f"of the {len(gains)} rows {over}", smallest))
    return [*lines, "The side was chosen with the results in view: new seeds are to confirm it."]


def gains_words(gains: Sequence[PrintedGain]) -> str:
    """Return in a sentence how many of the printed gains our runs rule out, and of one table what they span."""
    tables = list(dict.fromkeys(gain.table for gain in gains))
    excluded = [gain for gain in gains if gain.excluded]
    where = f"Table {tables[0]} prints" if len(tables) == 1 else f"Tables {', '.join(map(str, tables))} print"
    said = f"of the {len(gains)} gains over the baseline that {where}, our runs rule out {len(excluded) or 'none'}"
    if not excluded or len(tables) > 1:
        return f"{said[0].upper()}{said[1:]}."
    digits = excluded[0].digits
    printed = _span(min(g.printed for g in excluded), max(g.printed for g in excluded), digits)
    ours = _span(min(g.least for g in excluded), max(g.most for g in excluded), digits)
    return f"{said[0].upper()}{said[1:]}: printed {printed}, ours {ours}."


def _conclusion(excluded: Sequence[PrintedGain], of: str, smallest: str = "") -> str:
    """Return how many rows' printed gains are excluded, and what those rows span."""
    if not excluded:
        return f"No printed gain {of} is excluded."
    digits = excluded[0].digits
    ours = _span(min(g.least for g in excluded), max(g.most for g in excluded), digits)
    printed = _span(min(g.printed for g in excluded), max(g.printed for g in excluded), digits)
    return f"The printed gains of {len(excluded)} {of} are excluded: {smallest}ours {ours}, printed {printed}."


def _span(low: float, high: float, digits: int) -> str:
    return f"{_signed(low, digits)} to {_signed(high, digits)}"


def _signed(value: float, digits: int) -> str:
    return signed(value, NumberFormat(digits=digits))
