"""What a table is: columns, rows and the values that a paper prints, as data that a person writes in YAML.

A table of a paper says what each row must be, configuration for configuration. A table of ours (`match: by name`) shows
the trials of a study as the store has them. A table of the paper with reconstructed networks (`match: by trial`)
names a trial for each cell: the row's study and name, to which a column adds (`where: {task.sigma: 20}`). `table_file`
reads all.
"""

from datetime import date
from typing import Any, Literal

from pydantic import Field

from harness.attempt.metrics import Better
from harness.report._yaml import Part
from harness.trial.function import RETURNED

CLEAN = {"kind": "clean"}  # the condition of an evaluation that changes nothing
Select = Literal["best", "mean", "median"]
Source = Literal["result", "timing", "cost"]
Unit = Literal["fraction", "percent", "dB", "s", "M", "count"]  # M is 2^20
Named = str | dict[str, Any]  # NAME, or {kind: NAME, option: value}


class NumberFormat(Part):
    """How a number is printed: decimal places (of the mantissa, if scientific) and what follows
    it.
    """

    style: Literal["fixed", "scientific"] = "fixed"
    digits: int = Field(ge=0, le=15)
    suffix: str = ""


class Evaluated(Part):
    """The evaluation that a column shows: a split of the table's dataset under a condition."""

    split: str = "test"
    dataset: str | None = None  # the row's, else the table's, if left out
    condition: dict[str, Any] = Field(default_factory=lambda: dict(CLEAN))


class Column(Part):
    """What a column shows: a metric, where it is from, its unit and how the paper prints it."""

    key: str
    label: str
    source: Source
    metric: str
    evaluation: Evaluated = Evaluated()
    where: dict[str, str | int | float] = Field(default_factory=dict)  # by dotted path, in a table by trial
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


class RowEntry(Part):
    """A row as it is written: one trial, or one for each point of a grid whose words stand in label and `against`."""

    label: str
    trial: TrialName | None = None  # in a table of a study: that of the label's name, if left out
    grid: dict[str, tuple[str | int, ...]] = Field(default_factory=dict)
    against: str | None = None  # the row that it is compared with over seeds; the table's baseline, if left out
    model: Named | None = None  # the table's, if left out
    compressors: dict[str, dict[str, Any]] = Field(default_factory=dict)
    dataset: str | None = None  # on which this row is evaluated; the table's, if left out
    condition: dict[str, Any] = Field(default_factory=dict)  # goes into each column's condition: {clip: true}
    denoiser: dict[str, Any] | None = None  # before the classifier, in each column's condition; {run: …} is one by name
    select_by: str | None = None
    seeds: tuple[int, ...] | None = None  # the table's, if left out
    also: tuple[str, ...] = ()  # protocols by which a stored trial may be here, marked other-recipe
    stand_ins: tuple[str, ...] = ()  # datasets that may be here, marked, without the paper's value
    paper: dict[str, PaperValue] = Field(default_factory=dict)


class Row(RowEntry):
    """One trial beside what the paper prints for it."""

    trial: TrialName


class Expect(Part):
    """What the rows have in common: with a row's model and compressors this resolves to the configuration it must
    match.

    A table by name needs task and dataset alone, one by trial seeds too; by name they are the study's, if left out.
    """

    task: str
    dataset: str = RETURNED.dataset  # must be said of all but functions, whose data are their own
    model: Named | None = None
    protocol: Named | None = None
    seeds: tuple[int, ...] = ()

    @property
    def protocol_name(self) -> str:
        """Return the name of the protocol, "" if none is stated."""
        return str(self.protocol.get("kind", "")) if isinstance(self.protocol, dict) else self.protocol or ""


class Note(Part):
    """A remark on the whole table; `misprint` numbers the paper's disagreements with itself."""

    text: str
    misprint: int | None = None


class ImageFamily(Part):
    """McNemar tests of a row against the one that it is compared with, written down before the runs (`family`)."""

    question: str
    row: str
    columns: tuple[str, ...] = Field(min_length=1)  # by key
    entered: date
    alpha: float = Field(default=0.05, gt=0, lt=1)


class TableEntry(Part):
    """A table as it is written: its caption, columns, rows and notes."""

    table: int | str
    caption: str
    match: Literal["by configuration", "by name", "by trial"] = "by configuration"
    study: str | None = None  # whose trials the rows are, by name
    baseline: str | None = None  # the row that the others are compared with over seeds; the first, if left out
    section: str | None = None
    expect: Expect
    device: str | None = None  # on which the paper measured its times
    select: Select = "best"
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[RowEntry, ...] = Field(min_length=1)
    notes: tuple[Note, ...] = ()
    family: ImageFamily | None = None


class Table(TableEntry):
    """A table with every row written out."""

    rows: tuple[Row, ...]

    def column(self, key: str) -> Column:
        """Return the column with this key. Raises KeyError."""
        return {column.key: column for column in self.columns}[key]

    def seeds(self, row: Row) -> tuple[int, ...]:
        """Return the seeds that a row states, or the table's."""
        return self.expect.seeds if row.seeds is None else row.seeds

    def against(self, row: Row) -> str | None:
        """Return the label of the row that `row` is compared with over seeds; None for the baseline.

        A row that is named as its own is against the baseline; on a dataset of its own it is a baseline itself.
        """
        if row.against == row.label and row.dataset is not None:
            return None
        other = self.baseline if row.against in (None, row.label) else row.against
        return None if other == row.label else other
