"""What every format and the HTML page are made from: a table as rows of cells, each with its numbers, its texts and its
marks, and what is said below the table.
"""

from dataclasses import dataclass, replace
from typing import Literal

from harness.report.printing import NOTHING
from harness.stats.comparison import Difference, McNemar
from harness.stats.tests import gap
from harness.store.records import AttemptRecord, TrialRecord
from harness.trial.overrides import Override, Unstated

Match = Literal["exact", "other-device", "other-precision", "other-recipe", "stand-in"]
MATCHES: tuple[Match, ...] = ("exact", "other-device", "other-precision", "other-recipe", "stand-in")
"""How near a cell is to what the paper did, the nearest first."""


@dataclass(frozen=True)
class ItemGap:
    """Two single networks, item by item, of a metric whose values by item are numbers: this one's minus the other's, in
    the column's unit.
    """

    seed: int
    against_seed: int
    items: int
    mean: float
    low_95: float | None  # the 95 % interval of the mean, by a paired bootstrap over the items
    high_95: float | None


@dataclass(frozen=True)
class Statistics:
    """What is beside a row's metric: spread over the stated seeds, and the comparison with another row."""

    seeds: tuple[int, ...]  # with a stored value; nan counts
    mean: float
    sd: float | None  # sample standard deviation; None of one run
    against: str | None  # the row that this one is compared with; None for the row that has none
    difference: Difference | None = None
    paired_means: tuple[float, float] | None = None  # over the seeds of the difference, where these are not all seeds
    mcnemar: McNemar | None = None  # of the pair that the table shows
    mcnemar_by_seed: tuple[McNemar, ...] = ()
    items: ItemGap | None = None  # of the pair that the table shows, if its values by item are numbers
    note: str | None = None  # why something is missing


@dataclass(frozen=True)
class Cell:
    """One cell of a document: its numbers in `unit`, how they are printed, and where they are from.

    Every format and the page read this; `--format json` prints it without the last five fields.
    """

    table: int | str
    row: str
    column: str
    paper: float | None = None
    ours: float | None = None  # by which a reader sorts
    unit: str = ""
    match: Match | None = None
    runs: int = 0  # behind `ours`; for times the number of timing attempts, for counts 0
    select: str | None = None
    values: tuple[float | None, ...] = ()  # one per stated seed, in order; of a time or a count: what is shown
    protocol: str | None = None
    dataset: str | None = None
    device: str | None = None
    note: str | None = None
    overrides: tuple[Override, ...] = ()  # of the named protocol, which `protocol` has in words
    assumed: tuple[Unstated, ...] = ()  # settings of the protocol that the paper does not state; of a count none
    text: str = NOTHING  # `ours` as the table prints it
    bold: bool = False
    statistics: Statistics | None = None  # of a result in a table's document: over the seeds, and compared
    paper_text: str | None = None  # as the paper prints it
    paper_bold: bool = False
    difference: str | None = None  # of what is printed; None if there is nothing of the paper's to hold against
    marks: tuple[str, ...] = ()  # of the footnotes that concern it
    count: int | None = None  # of a count the whole number, which `ours` has as it is printed

    @property
    def gap(self) -> float | None:
        """Our value minus the paper's; None if one is missing."""
        return None if self.ours is None or self.paper is None else gap(self.ours, self.paper)


@dataclass(frozen=True)
class DocColumn:
    """A column's heading and its unit."""

    label: str
    unit: str = ""
    is_value: bool = True  # False: says something of the row (how many runs it has), and is not a cell for machines


@dataclass(frozen=True)
class DocRow:
    """A row: its label and one cell per column."""

    label: str
    cells: tuple[Cell, ...]
    protocol: str = ""  # by which its runs were trained, with all that was overridden
    accepted: tuple[str, ...] = ()  # by whose word results of it count that are of another trial
    overrides: str = ""  # by which `--set` made it, if it is not the study's own trial


@dataclass(frozen=True)
class Footnote:
    """What a mark means."""

    mark: str
    text: str


@dataclass(frozen=True)
class Note:
    """A paragraph below the table; `lines` are listed under it."""

    text: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatisticsTable:
    """A small table under the table: one column of results over seeds. `data` is the same as numbers, row by row."""

    name: str  # "Accuracy [fraction]"
    title: str
    columns: tuple[str, ...]  # without that of the labels
    rows: tuple[tuple[str, ...], ...]  # the label first
    notes: tuple[str, ...]
    data: tuple[Statistics | None, ...]
    networks: bool = True  # are single networks compared, image by image?
    can_tell: str = ""  # of the notes that on what so many seeds can show; "" if none is compared


@dataclass(frozen=True)
class Document:
    """A table ready to be rendered."""

    title: str
    caption: str
    columns: tuple[DocColumn, ...]
    rows: tuple[DocRow, ...]
    footnotes: tuple[Footnote, ...] = ()
    notes: tuple[Note, ...] = ()
    compares: bool = True  # does it stand beside values of a paper?
    statistics: tuple[StatisticsTable, ...] = ()
    behind: tuple[tuple[TrialRecord, AttemptRecord], ...] = ()  # what was shown is from these

    @property
    def bare(self) -> "Document":
        """The tables alone: without footnotes and their marks, and without notes."""
        rows = (replace(row, cells=tuple(replace(cell, marks=()) for cell in row.cells)) for row in self.rows)
        small = (replace(table, notes=()) for table in self.statistics)
        return replace(self, rows=tuple(rows), footnotes=(), notes=(), statistics=tuple(small))

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells that are values, row by row."""
        return tuple(
            cell for row in self.rows for column, cell in zip(self.columns, row.cells, strict=True) if column.is_value
        )


class Marks:
    """Gives each distinct remark a letter, in the order of their first use: a, b, ... z, aa, ab."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def __call__(self, remarks: tuple[str, ...]) -> tuple[str, ...]:
        """Return the marks of these remarks."""
        return tuple(self._marks.setdefault(text, _letters(len(self._marks))) for text in remarks)

    def footnotes(self) -> tuple[Footnote, ...]:
        """Return all footnotes so far, in order."""
        return tuple(Footnote(mark, text) for text, mark in self._marks.items())


def _letters(number: int) -> str:
    """Return 0 -> a, 25 -> z, 26 -> aa."""
    number, last = divmod(number, 26)
    return (_letters(number - 1) if number else "") + chr(ord("a") + last)
