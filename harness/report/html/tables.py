"""Tables as the page shows them: a document, how near its cells are, and where a row's runs are."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.report.document import MATCHES, Cell, DocRow, Document
from harness.report.figures.groups import study_groups, table_groups
from harness.report.figures.results import Results
from harness.report.html.anchors import trial_id
from harness.report.tables.study_document import study_document
from harness.report.tables.table import Table
from harness.report.tables.table_document import stored_document
from harness.report.tables.table_file import load_our_table, load_paper_table, our_tables, paper_tables
from harness.trial.datasets import DATASETS

NOT_RUN = "not run"
COUNTED = (*MATCHES, NOT_RUN)


@dataclass(frozen=True)
class TableView:
    """A table on the page. `targets`: where a row's runs are, by its label, of rows of which some are stored."""

    id: str
    document: Document
    targets: Mapping[str, str]

    def nearness(self, cell: Cell) -> str:
        """Return one of `COUNTED`, "" if nothing of a paper is beside the cell."""
        beside = self.document.compares and (cell.paper is not None or cell.ours is not None)
        return str(cell.match or (NOT_RUN if beside else ""))

    @property
    def folds(self) -> int:
        """How many rows are folded away: those of which nothing was run, if something was of others."""
        away = sum(not self.has_run(row) for row in self.document.rows)
        return away if away < len(self.document.rows) and self.document.compares else 0

    @property
    def has_runs(self) -> bool:
        """Whether any row shows a run or a timing."""
        return any(map(self.has_run, self.document.rows))

    @staticmethod
    def has_run(row: DocRow) -> bool:
        """Return whether a row shows any run or timing: counts need none."""
        return any(cell.runs for cell in row.cells)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of its cells are how near, in the order of `COUNTED`."""
        found = [self.nearness(cell) for row in self.document.rows for cell in row.cells]
        return {nearness: found.count(nearness) for nearness in COUNTED}

    @property
    def total(self) -> int:
        """The number of its cells that are counted."""
        return sum(self.counts.values())


def holds_paper(results: Results) -> bool:
    """Return whether a run or a timing of the paper's trials is stored, or nothing at all."""
    tables = (load_paper_table(n) for n in paper_tables())
    return not results.snapshot.attempts or any(
        g.runs for table in tables for g in table_groups(results.snapshot, table)
    )


def all_tables(results: Results) -> tuple[list[TableView], list[TableView]]:
    """Return the paper's tables, all that are entered, and those of ours of which something is stored."""
    papers = [_view(f"table-{n}", results, load_paper_table(n)) for n in paper_tables()]
    ours = [_view(f"table-{name}", results, load_our_table(name)) for name in our_tables()]
    return papers, [view for view in ours if any(cell.ours is not None for cell in view.document.cells)]


def study_table(results: Results, study: str) -> TableView:
    """Return a study's own table."""
    stand_ins = {d.name: d.stand_in_for for d in DATASETS.values()}
    document = study_document(results.snapshot, study, stand_ins)
    targets = {group.label: trial_id(group.trial) for group in study_groups(results.snapshot, study)}
    return TableView(f"own-{study}", document, targets)


def _view(name: str, results: Results, table: Table) -> TableView:
    document = stored_document(results.store, results.snapshot, table)
    if table.match == "by name":
        groups = study_groups(results.snapshot, str(table.study)) if document.rows else []
    else:
        groups = table_groups(results.snapshot, table)
    return TableView(name, document, {group.label: trial_id(group.trial) for group in groups if group.runs})
