"""What a plot of any study reads from the tidy table: which column is meant, rows by the values of a field, numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, did_you_mean
from harness.report.tidy import TIDY, Row, Tidy
from harness.stats.tests import mean

TRIAL = "trial"
_NAMED = 3  # columns, in an error
_DIGITS = 2  # of the spread of some numbers
_MOST_DIGITS = 6


def metric_of(runs: Tidy, name: str | None) -> Metric:
    """Return the metric of a column, the primary one if none is named. Raises HarnessError if there is none.

    A part of a column's name will do if no other metric has it: "sigma 30".
    """
    if name is None:
        if not runs.metrics:
            numbers = _words([column for column in runs.columns if column not in TIDY and _is_number(runs, column)])
            raise HarnessError(f"nothing says which column is the metric: name one with 'metric' ({numbers})")
        return next(iter(runs.metrics.values()))
    column = _named(name, list(runs.metrics)) or _named(name, list(runs.columns))
    if column is None:
        raise HarnessError(f"no metric '{name}'{did_you_mean(name, runs.metrics)}")
    if not _is_number(runs, column):
        raise HarnessError(f"'{column}' is not a number in any run")
    return runs.metrics.get(column) or Metric(column)


def field_of(runs: Tidy, name: str) -> str:
    """Return the column of a field; its last word will do: "rate" of "arguments.rate".

    Raises HarnessError if there is none.
    """
    ends = [column for column in runs.columns if column.endswith(f".{name}")]
    column = name if name in runs.columns else ends[0] if len(ends) == 1 else None
    if column is None:
        raise HarnessError(f"no field '{name}'{did_you_mean(name, [TRIAL, *map(short, runs.settings)])}")
    return column


def number_of(runs: Tidy, name: str) -> str:
    """Return the column of numbers that is meant, say a cost. Raises HarnessError if there is none."""
    numbers = [column for column in runs.columns if column not in TIDY and _is_number(runs, column)]
    numbers += [column for column in ("seconds",) if column in runs.columns]
    column = _named(name, numbers)
    if column is None:
        raise HarnessError(f"no column of numbers '{name}'{did_you_mean(name, numbers)}")
    return column


def common_settings(runs: Tidy) -> list[str]:
    """Return the settings that more than half of the runs have."""
    return [name for name in runs.settings if 2 * sum(row[name] is not None for row in runs.rows) > len(runs.rows)]


def by_field(rows: Iterable[Row], field: str) -> dict[Any, list[Row]]:
    """Return rows by the values of a field: numbers in their order, else as they come; None last."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get(field), []).append(row)
    numbers = all(is_number(value) for value in found if value is not None)
    ordered = sorted((value for value in found if value is not None), key=lambda v: v) if numbers else list(found)
    return {value: found[value] for value in [*(v for v in ordered if v is not None), *({None} & found.keys())]}


def several_studies(rows: Sequence[Row]) -> bool:
    """Return whether rows are of more than one study, whose trials may have one name."""
    return len({row.get("study") for row in rows}) > 1


def with_trials_apart(rows: Sequence[Row]) -> list[Row]:
    """Return rows whose trials are called "study: trial" if there are several studies."""
    if not several_studies(rows):
        return list(rows)
    return [{**row, TRIAL: f"{row['study']}: {row[TRIAL]}"} for row in rows]


def finite(rows: Iterable[Row], column: str) -> list[Row]:
    """Return the rows with a finite number in a column."""
    return [row for row in rows if is_number(row.get(column)) and math.isfinite(row[column])]


def mean_of(rows: Sequence[Row], column: str) -> float:
    """Return the mean of a column."""
    return mean([float(row[column]) for row in rows])


def is_number(value: Any) -> bool:
    """Return whether a value is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def short(column: str) -> str:
    """Return a column as an axis calls it: without "arguments."."""
    return column.removeprefix("arguments.")


def in_words(value: Any) -> str:
    """Return a field's value: "0.001", "none"."""
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def wrapped(text: str, width: int = 14) -> str:
    """Return a text on lines of about so many characters, broken at spaces and behind points."""
    return "\n".join(wrap(text.replace(".", ". "), width, break_long_words=False)).replace(". ", ".")


def digits(numbers: Iterable[float]) -> int:
    """Return how many decimal places show two digits of the spread of some numbers."""
    known = [number for number in numbers if math.isfinite(number)]
    spread = max(known, default=0.0) - min(known, default=0.0) or max(map(abs, known), default=0.0)
    return min(max(_DIGITS - 1 - math.floor(math.log10(spread)), 0), _MOST_DIGITS) if spread > 0 else _DIGITS


def left_out(all_rows: Sequence[Row], kept: Sequence[Row], why: str) -> str:
    """Return a sentence on rows that are not shown, "" if all are."""
    gone = len(all_rows) - len(kept)
    return f" Left out: {gone} of {len(all_rows)} runs, {why}." if gone else ""


def is_better(metric: Metric, one: float, other: float) -> bool:
    """Return whether one value of a metric is better than another."""
    return one > other if metric.better == "higher" else one < other


def best_of(metric: Metric, values: Mapping[Any, float]) -> Any:
    """Return the key of the best value."""
    return (max if metric.better == "higher" else min)(values, key=lambda key: values[key])


def _named(name: str, columns: Sequence[str]) -> str | None:
    """Return the column of a name, or the only one that holds it. Raises HarnessError if several do."""
    if name in columns:
        return name
    holding = [column for column in columns if name in column]
    if len(holding) > 1:
        raise HarnessError(f"'{name}' is in several names: {_words(holding)}; write more of one")
    return holding[0] if holding else None


def _is_number(runs: Tidy, column: str) -> bool:
    return any(is_number(row.get(column)) for row in runs.rows)


def _words(columns: Iterable[str]) -> str:
    names = list(columns)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more if names else "none"
