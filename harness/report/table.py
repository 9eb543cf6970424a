"""What a table is: columns, rows and the values that a paper prints, as data that a person writes in YAML.

The paper's own tables lie in `harness/report/paper/`; a user's own table has the same form.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.report._yaml import Part, load
from harness.spec.checks import FieldError
from harness.spec.errors import HarnessError, did_you_mean

CLEAN = {"kind": "clean"}  # the condition of an evaluation that changes nothing
PAPER = Path(__file__).parent / "paper"
Select = Literal["best", "mean", "median"]
Better = Literal["higher", "lower"]
Source = Literal["result", "timing", "cost"]
Unit = Literal["fraction", "percent", "dB", "s", "M", "count"]  # M is 2^20


class NumberFormat(Part):
    """How a number is printed: digits behind the point (of the mantissa, where scientific) and what follows
    it.
    """

    style: Literal["fixed", "scientific"] = "fixed"
    digits: int = Field(ge=0, le=15)
    suffix: str = ""


class Evaluated(Part):
    """The evaluation that a column shows: a split of the table's dataset under a condition."""

    split: str = "test"
    condition: dict[str, Any] = Field(default_factory=lambda: dict(CLEAN))


class Column(Part):
    """What a column shows: a metric, where it is from, its unit and how the paper prints it."""

    key: str
    label: str
    source: Source
    metric: str
    evaluation: Evaluated = Evaluated()
    unit: Unit
    format: NumberFormat
    rounding: Literal["round", "truncate"] = "round"
    better: Better
    bold: bool = False  # does the paper set the best of this column in bold?
    note: str | None = None


class PaperValue(Part):
    """A value as the paper prints it, with a note where it is a misprint or is contradicted elsewhere."""

    value: float
    text: str
    bold: bool = False
    note: str | None = None


class TrialName(Part):
    """A trial by its study and its name there."""

    study: str
    name: str


class Row(Part):
    """One trial beside what the paper prints for it."""

    label: str
    trial: TrialName
    compressors: dict[str, dict[str, Any]] = Field(default_factory=dict)
    select_by: str | None = None
    seeds: tuple[int, ...] | None = None  # the table's, where left out
    also: tuple[str, ...] = ()  # protocols by which a stored trial may stand here, marked other-recipe
    stand_ins: tuple[str, ...] = ()  # datasets that may stand here, marked, without the paper's value
    paper: dict[str, PaperValue] = Field(default_factory=dict)


class Expect(Part):
    """What the rows have in common: with a row's compressors this resolves to the configuration it must
    match.
    """

    task: str
    dataset: str
    model: str
    protocol: str
    seeds: tuple[int, ...] = Field(min_length=1)


class Note(Part):
    """A remark on the whole table; `misprint` numbers the paper's disagreements with itself."""

    text: str
    misprint: int | None = None


class Table(Part):
    """A table: its caption, columns, rows and notes."""

    table: int | str
    caption: str
    section: str | None = None
    expect: Expect
    device: str | None = None  # on which the paper measured its times
    select: Select = "best"
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)
    notes: tuple[Note, ...] = ()

    def column(self, key: str) -> Column:
        """Return the column with this key. Raises KeyError."""
        return {column.key: column for column in self.columns}[key]

    def seeds(self, row: Row) -> tuple[int, ...]:
        """Return the seeds that a row states, or the table's."""
        return self.expect.seeds if row.seeds is None else row.seeds


def check_table(table: Table) -> None:
    """Raise FieldError where a table contradicts itself: names twice, an unknown column, a text that is not
    its value.
    """
    _unique("columns", "key", [column.key for column in table.columns])
    _unique("rows", "label", [row.label for row in table.rows])
    results = {column.key for column in table.columns if column.source == "result"}
    for i, row in enumerate(table.rows):
        if len(set(table.seeds(row))) < len(table.seeds(row)):
            raise FieldError(("rows", i, "seeds"), f"row '{row.label}' has a seed twice")
        if row.select_by is not None and row.select_by not in results:
            raise FieldError(
                ("rows", i, "select_by"),
                f"'{row.select_by}' is no column of results{did_you_mean(row.select_by, results)}",
            )
        if row.select_by is None and len(results) > 1:
            raise FieldError(("rows", i), f"row '{row.label}' has several columns of results and needs select_by")
        _check_printed(table, i)


def _unique(part: str, field: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise FieldError((part, i, field), f"'{name}' stands twice among the {part}")


def _check_printed(table: Table, i: int) -> None:
    """Refuse a value without a column, and a printed text that says another number than its value."""
    columns = {column.key: column for column in table.columns}
    for key, printed in table.rows[i].paper.items():
        path = ("rows", i, "paper", key)
        if key not in columns:
            raise FieldError(path, f"'{key}' is no column{did_you_mean(key, columns)}")
        try:
            same = float(printed.text.removesuffix(columns[key].format.suffix)) == printed.value
        except ValueError:
            same = False
        if not same:
            raise FieldError(path, f"the text '{printed.text}' is not the value {printed.value!r}")


def paper_tables() -> list[int]:
    """Return the numbers of the paper's tables that are entered, in order."""
    return sorted(int(path.stem.removeprefix("table")) for path in PAPER.glob("table[0-9]*.yml"))


def load_table(path: str | Path) -> Table:
    """Return the table in a YAML file; SpecError, one line, where it cannot be used."""
    return load(Path(path), Table, check_table)


def load_paper_table(number: int) -> Table:
    """Return a table of the paper by its number; HarnessError where it is not entered yet."""
    entered = paper_tables()
    if number not in entered:
        raise HarnessError(
            f"table {number} is not entered yet; entered: {', '.join(str(n) for n in entered) or 'none'}"
        )
    return load_table(PAPER / f"table{number}.yml")
