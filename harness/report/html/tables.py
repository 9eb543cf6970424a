"""Tables as the page shows them: a document, what a column is sorted by, and where a row's runs are."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from harness.report.document import DocCell, Document
from harness.report.figures.groups import study_groups, table_groups
from harness.report.figures.results import Results
from harness.report.html.anchors import trial_id
from harness.report.tables.expected import filled
from harness.report.tables.study_document import study_document
from harness.report.tables.table import Table
from harness.report.tables.table_document import table_document
from harness.report.tables.table_file import load_our_table, load_paper_table, our_tables, paper_tables
from harness.store.queries import samples
from harness.trial.datasets import DATASETS

NOT_RUN = "not run"
MATCHES = ("exact", "other-device", "other-precision", "other-recipe", "stand-in", NOT_RUN)
_NUMBER = re.compile(r"[-\N{MINUS SIGN}]?[\d,]*\.?\d+(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class CellView:
    """A cell: what is shown, and the numbers that it is sorted by (None: goes last)."""

    cell: DocCell
    match: str  # one of MATCHES; "" where nothing of a paper stands beside it
    ours: float | None
    paper: float | None
    gap: float | None


@dataclass(frozen=True)
class RowView:
    """A row; `target` is where its runs are, "" where none is stored."""

    label: str
    target: str
    cells: tuple[CellView, ...]


@dataclass(frozen=True)
class TableView:
    """A table with its rows and how many of its cells match how well."""

    id: str
    document: Document
    rows: tuple[RowView, ...]
    counts: Mapping[str, int]  # by match, in the order of MATCHES

    @property
    def total(self) -> int:
        """The number of its cells."""
        return sum(self.counts.values())


def all_tables(results: Results) -> tuple[list[TableView], list[TableView]]:
    """Return the paper's tables, all that are entered, and those of ours of which something is stored."""
    papers = [_view(f"table-{n}", results, load_paper_table(n)) for n in paper_tables()]
    ours = [_view(f"table-{name}", results, load_our_table(name)) for name in our_tables()]
    return papers, [view for view in ours if any(c.ours is not None for r in view.rows for c in r.cells)]


def study_table(results: Results, study: str) -> TableView:
    """Return a study's own table."""
    stand_ins = {d.name: d.stand_in_for for d in DATASETS.values()}
    document = study_document(results.snapshot, study, stand_ins)
    targets = {group.label: trial_id(group.trial) for group in study_groups(results.snapshot, study)}
    return TableView(f"own-{study}", document, tuple(_rows(document, targets)), {})


def _view(name: str, results: Results, table: Table) -> TableView:
    whole, expected, settings = filled(table, results.snapshot)
    document = table_document(results.snapshot, whole, expected, settings, samples=partial(samples, results.store))
    if whole.match == "by name":
        groups = study_groups(results.snapshot, str(whole.study)) if whole.rows else []
    else:
        groups = table_groups(results.snapshot, whole)
    targets = {group.label: trial_id(group.trial) for group in groups if group.runs}
    rows = tuple(_rows(document, targets))
    found = [cell.match for row in rows for cell in row.cells if cell.match]
    return TableView(name, document, rows, {match: found.count(match) for match in MATCHES})


def _rows(document: Document, targets: Mapping[str, str]) -> Iterator[RowView]:
    for row in document.rows:
        cells = tuple(_cell(cell, compares=document.compares) for cell in row.cells)
        yield RowView(row.label, targets.get(row.label, ""), cells)


def _cell(cell: DocCell, *, compares: bool) -> CellView:
    ours = cell.ours_value if cell.ours_value is not None else _number(cell.ours)
    gap = None if cell.ours_value is None or cell.paper_value is None else cell.ours_value - cell.paper_value
    empty = NOT_RUN if compares and (cell.paper is not None or cell.ours_value is not None) else ""
    return CellView(cell, str(cell.match or empty), ours, cell.paper_value, gap)


def _number(text: str) -> float | None:
    """Return the number that a text begins with: "0.9787 ± 0.0006 (n = 2)" -> 0.9787."""
    found = _NUMBER.match(text)
    return float(found[0].replace(",", "").replace("\N{MINUS SIGN}", "-")) if found else None


def added(views: Sequence[TableView]) -> dict[str, int]:
    """Return the counts of several tables together."""
    return {match: sum(view.counts.get(match, 0) for view in views) for match in MATCHES}
