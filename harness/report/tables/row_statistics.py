"""The statistics of a table's results, row by row, for `harness report statistics`: those of the small tables under it,
with bootstrap intervals, what the better of two runs is expected to be, and unpaired tests beside paired ones.
"""

from dataclasses import dataclass

from harness.report.tables.cells import Found, find
from harness.report.tables.compare import rows_alike, values_by_seed
from harness.report.tables.expected import filled
from harness.report.tables.provenance import accepted_remarks
from harness.report.tables.table import Table
from harness.report.tables.uncertainty import test_images
from harness.stats.comparison import Methods, Spread, methods, spread
from harness.stats.tests import binomial_error
from harness.store.records import Snapshot


@dataclass(frozen=True)
class RowStatistics:
    """One row's result over its seeds, in the column's unit."""

    column: str
    row: str
    unit: str
    spread: Spread
    error: float | None  # the binomial standard error of one accuracy, at the mean
    against: str | None
    compared: Methods | None  # a: the row that it stands against, b: this row
    remarks: tuple[str, ...] = ()  # by whose word runs of other trials count


def row_statistics(snapshot: Snapshot, table: Table) -> list[RowStatistics]:
    """Return the statistics of each row of which a run is stored, column by column."""
    table, expected, _ = filled(table, snapshot)
    cells = [f for f in find(snapshot, table, expected) if f.column.source == "result"]
    found = []
    for column in (c for c in table.columns if c.source == "result"):
        rows = {f.row.label: f for f in cells if f.column.key == column.key}
        found += [_row(snapshot, table, rows[label], rows) for label in rows if values_by_seed(snapshot, rows[label])]
    return found


def _row(snapshot: Snapshot, table: Table, found: Found, rows: dict[str, Found]) -> RowStatistics:
    column, mine = found.column, values_by_seed(snapshot, found)
    against = table.against(found.row)
    other = None if against is None else rows[against]
    theirs = {} if other is None else values_by_seed(snapshot, other)
    compared = None
    if other is not None and theirs:
        compared = methods(theirs, mine, alike=rows_alike(found, other), better=column.better)
    summed = spread(mine, column.better)
    return RowStatistics(
        column.label,
        found.row.label,
        column.unit,
        summed,
        _error(snapshot, found, summed.mean),
        against,
        compared,
        tuple(accepted_remarks(found.attempts)),
    )


def _error(snapshot: Snapshot, found: Found, mean: float) -> float | None:
    images = test_images(snapshot, found)
    whole = 100 if found.column.unit == "percent" else 1
    if images is None or not 0 <= mean <= whole:
        return None
    return whole * binomial_error(mean / whole, images)
