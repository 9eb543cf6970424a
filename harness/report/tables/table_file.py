"""Table files: read, with the rows of a grid written out, and refused in one line if they contradict themselves.

A paper is a folder: `table1.yml` and so on, and in `text/` tables of what its text alone prints. Those of the harness
lie in `harness/papers/`, of which the one on feature pooling is meant if nobody says another; tables of ours lie in
`ours/`. A user's own folder, or table, has the form of either.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.base.checks import FieldError, validate
from harness.base.errors import HarnessError, did_you_mean
from harness.base.source import YamlPath
from harness.report._yaml import load
from harness.report.tables.conditions import evaluated
from harness.report.tables.table import Row, RowEntry, Table, TableEntry, TrialName
from harness.trial.function import RETURNED
from harness.trial.tasks import TASKS
from harness.trial.trial import FUNCTION

_HARNESS = Path(__file__).parents[2]
_PAPERS = _HARNESS / "papers"
PAPER = _PAPERS / "feature_pooling"
_OURS = _HARNESS / "report" / "ours"


def find_paper(text: str) -> Path:
    """Return the folder of a paper: that of a person, or one of the harness's own by its name.

    Raises HarnessError, with the nearest right name, if there is none, and for a folder without tables.
    """
    folder = Path(text)
    if not folder.is_dir():
        known = sorted(path.name for path in _PAPERS.iterdir() if path.is_dir() and any(path.glob("*.yml")))
        if text not in known:
            raise HarnessError(f"--paper takes a folder of table files, not '{text}'{did_you_mean(text, known)}")
        folder = _PAPERS / text
    if not paper_tables(folder) and not _texts(folder):
        raise HarnessError(f"--paper {text}: no tables are there; they are called table1.yml, table2.yml …")
    return folder


def paper_tables(paper: Path = PAPER) -> list[int]:
    """Return the numbers of a paper's tables that are entered, in order."""
    numbers = (path.stem.removeprefix("table") for path in paper.glob("table[0-9]*.yml"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def _texts(paper: Path) -> list[str]:
    """Return the names of the tables of what a paper's text alone prints, in order."""
    return sorted(path.stem for path in (paper / "text").glob("*.yml"))


def our_tables(paper: Path = PAPER) -> list[str]:
    """Return the names of the tables that a paper has not as tables: of what its text prints, and beside the paper on
    feature pooling ours; in order.
    """
    ours = [path.stem for path in _OURS.glob("*.yml")] if paper == PAPER else []
    return sorted([*ours, *_texts(paper)])


def load_paper_table(number: int, paper: Path = PAPER) -> Table:
    """Return a table of a paper by its number; HarnessError where it is not entered yet."""
    entered = paper_tables(paper)
    if number not in entered:
        raise HarnessError(
            f"table {number} is not entered yet; entered: {', '.join(str(n) for n in entered) or 'none'}"
        )
    return load_table(paper / f"table{number}.yml")


def load_our_table(name: str, paper: Path = PAPER) -> Table:
    """Return a table of `our_tables` by its name; HarnessError, with the nearest right name, if there is none."""
    if name not in our_tables(paper):
        raise HarnessError(f"there is no table '{name}'{did_you_mean(name, our_tables(paper))}")
    return load_table(next(file for folder in (_OURS, paper / "text") if (file := folder / f"{name}.yml").is_file()))


def find_table(text: str, paper: Path = PAPER) -> Table:
    """Return a table by what a person calls it: a number of the paper's, a name of ours, or a file of her own."""
    if text.isdecimal():
        return load_paper_table(int(text), paper)
    return load_table(text) if Path(text).suffix in {".yml", ".yaml"} else load_our_table(text, paper)


def load_table(path: str | Path) -> Table:
    """Return the table in a YAML file; SpecError, one line, if it cannot be used."""
    entry = load(Path(path), TableEntry, _check)
    rows = tuple(row for i in range(len(entry.rows)) for row in _rows(entry, i))
    fields = {name: getattr(entry, name) for name in TableEntry.model_fields}
    return Table(**{**fields, "rows": rows, "baseline": entry.baseline or rows[0].label})


def _rows(table: TableEntry, i: int) -> list[Row]:
    """Return the rows that an entry stands for: one for each point of its grid, the last word fastest."""
    entry = table.rows[i]
    found = []
    for values in itertools.product(*entry.grid.values()):
        point = dict(zip(entry.grid, values, strict=True))
        label = _filled(entry.label, point, ("rows", i, "label"))
        against = None if entry.against is None else _filled(entry.against, point, ("rows", i, "against"))
        trial = entry.trial or TrialName(study=table.study or "", name=label)
        fields = {name: getattr(entry, name) for name in RowEntry.model_fields}
        found.append(Row(**{**fields, "label": label, "against": against, "trial": trial, "grid": {}}))
    return found


def _filled(template: str, point: dict[str, str | int], path: tuple[str | int, ...]) -> str:
    if not point:
        return template
    try:
        return template.format(**point)
    except (KeyError, IndexError, ValueError, AttributeError):
        words = ", ".join(f"{{{word}}}" for word in point)
        raise FieldError(path, f"'{template}' must hold words of the grid alone: {words}") from None


def _check(table: TableEntry) -> None:
    """Raise FieldError if a table contradicts itself: names twice, an unknown column, a text that is not
    its value.
    """
    _check_data(table)
    _check_match(table)
    _unique("columns", "key", [(i, column.key) for i, column in enumerate(table.columns)])
    labels = [(i, row.label) for i in range(len(table.rows)) for row in _rows(table, i)]
    _unique("rows", "label", labels)
    known = [label for _, label in labels]
    _check_conditions(table)
    _check_family(table)
    _check_label(table.baseline, known, ("baseline",))
    results = {column.key for column in table.columns if column.source == "result"}
    for i, row in enumerate(table.rows):
        seeds = table.expect.seeds if row.seeds is None else row.seeds
        if len(set(seeds)) < len(seeds):
            raise FieldError(("rows", i, "seeds"), f"row '{row.label}' has a seed twice")
        if row.select_by is not None and row.select_by not in results:
            raise FieldError(
                ("rows", i, "select_by"),
                f"'{row.select_by}' is not a column of results{did_you_mean(row.select_by, results)}",
            )
        if row.select_by is None and len(results) > 1 and table.match != "by trial":
            raise FieldError(("rows", i), f"row '{row.label}' has several columns of results and needs select_by")
        for written in _rows(table, i):
            _check_label(written.against, known, ("rows", i, "against"))
        _check_printed(table, i)


def _check_conditions(table: TableEntry) -> None:
    """Refuse a denoiser, an attack or another condition that no evaluation can have."""
    for i, row in enumerate(table.rows):
        for j, column in enumerate(table.columns):
            if column.source != "result":
                continue
            place: YamlPath = ("rows", i, "condition") if row.condition else ("columns", j, "evaluation", "condition")
            try:
                condition = evaluated(row, column).condition
                if row.denoiser is None:
                    _check_options(table.expect.task, condition)
            except FieldError as error:
                where = ("rows", i, "denoiser") if error.path[:1] == ("denoiser",) else place
                raise FieldError(where, f"under '{column.key}': {error.message}") from None


def _check_options(task: str, condition: Mapping[str, Any]) -> None:
    """Refuse options that a condition of the task does not have; of a task from elsewhere nothing is known."""
    if task not in TASKS or not TASKS[task].conditions:
        return
    known = TASKS[task].conditions
    kind = str(condition.get("kind"))
    if kind not in known:
        if "kind" not in condition:
            raise FieldError((), f"a condition of '{task}' says its kind: {' or '.join(sorted(known))}")
        raise FieldError((), f"'{task}' has no condition '{kind}'{did_you_mean(kind, known)}")
    validate(known[kind], {name: value for name, value in condition.items() if name != "kind"})


def _check_family(table: TableEntry) -> None:
    """Refuse a family of a row, or columns, that the table does not have."""
    if table.family is None:
        return
    rows = {row.label: row for i in range(len(table.rows)) for row in _rows(table, i)}
    _check_label(table.family.row, list(rows), ("family", "row"))
    if rows[table.family.row].against is None:
        raise FieldError(("family", "row"), f"'{table.family.row}' has no 'against': the row that it is compared with")
    columns = {column.key: column for column in table.columns if column.source == "result"}
    for i, key in enumerate(table.family.columns):
        if key not in columns:
            raise FieldError(
                ("family", "columns", i), f"'{key}' is not a column of results{did_you_mean(key, columns)}"
            )


def _check_data(table: TableEntry) -> None:
    """Refuse data beside a function, and none beside another task."""
    function = table.expect.task == FUNCTION
    if function != (table.expect.dataset == RETURNED.dataset):
        said = "a function's data are its own: leave 'dataset' out" if function else "'dataset' is missing"
        raise FieldError(("expect", "dataset"), said)


def _check_match(table: TableEntry) -> None:
    """Refuse what does not go with the way in which the rows find their trials."""
    if table.match == "by name":
        if table.study is None:
            raise FieldError(("match",), "a table by name needs 'study': whose trials its rows are")
        for i, row in enumerate(table.rows):
            for field in ("compressors", "model", "paper"):
                if getattr(row, field):
                    raise FieldError(("rows", i, field), f"'{field}' does not go with match: by name")
        return
    for field in ("seeds",) if table.match == "by trial" else ("model", "protocol", "seeds"):
        if not getattr(table.expect, field):
            raise FieldError(("expect", field), f"'{field}' is missing: without match: by name a table says what it is")
    for i, column in enumerate(table.columns):
        if column.where and table.match != "by trial":
            raise FieldError(("columns", i, "where"), "'where' goes with match: by trial")
    for i, row in enumerate(table.rows):
        if row.trial is None and table.study is None:
            raise FieldError(("rows", i, "trial"), "'trial' is missing: {study: NAME, name: NAME}")


def _unique(part: str, field: str, names: list[tuple[int, str]]) -> None:
    seen: set[str] = set()
    for i, name in names:
        if name in seen:
            raise FieldError((part, i, field), f"'{name}' occurs twice among the {part}")
        seen.add(name)


def _check_label(label: str | None, known: list[str], path: tuple[str | int, ...]) -> None:
    if label is not None and label not in known:
        raise FieldError(path, f"'{label}' is not a row{did_you_mean(label, known)}")


def _check_printed(table: TableEntry, i: int) -> None:
    """Refuse a value without a column, and a printed text that says another number than its value."""
    columns = {column.key: column for column in table.columns}
    for key, printed in table.rows[i].paper.items():
        path = ("rows", i, "paper", key)
        if key not in columns:
            raise FieldError(path, f"'{key}' is not a column{did_you_mean(key, columns)}")
        try:
            same = float(printed.text.removesuffix(columns[key].format.suffix)) == printed.value
        except ValueError:
            same = False
        if not same:
            raise FieldError(path, f"the text '{printed.text}' is not the value {printed.value!r}")
