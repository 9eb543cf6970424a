"""A table of runs as CSV: a row per run, as a spreadsheet has it, or the export of Weights & Biases' table of runs."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.base.clock import as_text
from harness.base.errors import HarnessError, did_you_mean
from harness.interchange.outside import OutsideRun, setting_of

_WANDB = frozenset({"Name", "State", "Created", "Runtime"})
"""Columns by which the export of Weights & Biases is known."""
_NO_SETTINGS = _WANDB | {"Notes", "User", "Tags", "Sweep", "ID", "Group", "Job Type", "Updated", "End Time"}
_SEEDS = ("seed", "random_seed")


def read_table(path: Path, metrics: Sequence[str], seed: str | None, settings: Sequence[str] = ()) -> list[OutsideRun]:
    """Return the runs of a table, in its order.

    Args:
        path: a CSV file with a line of names.
        metrics: the columns with results.
        seed: the column with the seed; None: the one that is called so, if there is one.
        settings: the columns with settings; none: all that are neither results nor the seed.

    Raises:
        HarnessError: in one line, what cannot be read, and where.
    """
    header, rows = _read(path)
    for name in (*metrics, *settings, *([] if seed is None else [seed])):
        if name not in header:
            raise HarnessError(f"{path}:1: there is no column '{name}'{did_you_mean(name, header)}")
    tracked = set(header) >= _WANDB
    seed = seed or next((name for name in header if name.lower() in _SEEDS), None)
    aside = {*metrics, seed, "", *(_NO_SETTINGS if tracked else ())}
    wanted = settings or [name for name in header if name not in aside]
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    runs = []
    for number, row in rows:
        where = f"{path}:{number}"
        state = row["State"].lower() if tracked else "finished"
        started, ended = _times(row, modified) if tracked else (modified, modified)
        runs.append(
            OutsideRun(
                where,
                {name: value for name in wanted if (value := setting_of(row[name])) is not None},
                {name: _number(row[name], name, where) for name in metrics if row[name].strip()},
                None if seed is None else seed_of(row[seed], seed, where),
                as_text(started),
                as_text(ended),
                state=None if state == "finished" else state,
            )
        )
    return runs


def seed_of(text: str, name: str, where: str) -> int:
    """Return a seed that was kept as text. Raises HarnessError for what is none."""
    try:
        seed = int(float(text)) if float(text).is_integer() else -1
    except (ValueError, OverflowError):
        seed = -1
    if seed < 0:
        raise HarnessError(f"{where}: {name} must be a whole number from 0, not {text.strip()!r}")
    return seed


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the names of the columns, and each row with the number of its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if not header:
                raise HarnessError(f"{path}:1: a table begins with the names of its columns; this line is empty")
            if twice := sorted({name for name in header if name and header.count(name) > 1}):
                raise HarnessError(f"{path}:1: two columns are called '{twice[0]}'")
            rows = []
            for cells in reader:
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    said = f"{len(cells)} cells, and the first line names {len(header)} columns"
                    raise HarnessError(f"{path}:{reader.line_num}: {said}")
                rows.append((reader.line_num, dict(zip(header, cells, strict=True))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HarnessError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from error
    return header, rows


def _number(text: str, name: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise HarnessError(f"{where}: {name} must be a number, not {text.strip()!r}") from None


def _times(row: dict[str, str], otherwise: datetime) -> tuple[datetime, datetime]:
    """Return when a run of Weights & Biases began and ended, as far as its export says it."""
    try:
        began = datetime.fromisoformat(row["Created"])
        seconds = float(row["Runtime"] or 0)
    except ValueError:
        return otherwise, otherwise
    began = began if began.tzinfo else began.replace(tzinfo=UTC)
    return began, began + timedelta(seconds=max(0.0, seconds))
