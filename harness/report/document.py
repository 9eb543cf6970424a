"""What every format is rendered from: a table as texts, with what is bold, what is marked, and what is said
below it.
"""

from dataclasses import dataclass

from harness.report.tables.cells import Cell
from harness.report.tables.statistics import Statistics
from harness.store.records import AttemptRecord, TrialRecord


@dataclass(frozen=True)
class DocCell:
    """One place in the table. `paper` and `difference` are None where there is nothing of the paper's to
    hold against.
    """

    ours: str
    paper: str | None = None
    difference: str | None = None
    bold: bool = False  # ours
    paper_bold: bool = False
    marks: tuple[str, ...] = ()  # of the footnotes that concern it
    ours_value: float | None = None  # in the column's unit, for formats that machines read
    paper_value: float | None = None
    match: str | None = None


@dataclass(frozen=True)
class DocColumn:
    """A column's heading and its unit."""

    label: str
    unit: str = ""


@dataclass(frozen=True)
class DocRow:
    """A row: its label and one cell a column."""

    label: str
    cells: tuple[DocCell, ...]
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


@dataclass(frozen=True)
class Document:
    """A table ready to be rendered. `cells` is the same as data."""

    title: str
    caption: str
    columns: tuple[DocColumn, ...]
    rows: tuple[DocRow, ...]
    footnotes: tuple[Footnote, ...] = ()
    notes: tuple[Note, ...] = ()
    cells: tuple[Cell, ...] = ()
    compares: bool = True  # does it stand beside values of a paper?
    statistics: tuple[StatisticsTable, ...] = ()
    behind: tuple[tuple[TrialRecord, AttemptRecord], ...] = ()  # what was shown is from these


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
