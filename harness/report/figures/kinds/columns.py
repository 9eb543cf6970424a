"""What a plot of any study reads from the tidy table: which column is meant, rows by the values of a field, numbers."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Any, NamedTuple

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, did_you_mean
from harness.report.tidy import TIDY, Row, Tidy
from harness.stats.importance import is_wide
from harness.stats.tests import mean

TRIAL = "trial"
_NAMED = 3  # columns, in an error
_DIGITS = 2  # of the spread of some numbers
_MOST_DIGITS = 6
_FEW = 10  # numbers that are shown each by itself
_BINS = 6


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
    numbers = all(is_number(value) or isinstance(value, _Bin) for value in found if value is not None)
    ordered = sorted((value for value in found if value is not None), key=lambda v: v) if numbers else list(found)
    return {value: found[value] for value in [*(v for v in ordered if v is not None), *({None} & found.keys())]}


def in_bins(rows: Sequence[Row], field: str) -> list[Row]:
    """Return rows with numbers of which there are many, as in a search, as intervals: "0.01–0.03".

    Intervals are equally wide, in the logarithm if the numbers are positive and span a power of ten or more.
    """
    values = {row[field] for row in rows}
    numbers = sorted(value for value in values if is_number(value) and math.isfinite(value))
    if len(numbers) <= _FEW or len(numbers) < len(values - {None}):
        return list(rows)
    log = is_wide(numbers)
    low, high = (math.log(numbers[0]), math.log(numbers[-1])) if log else (numbers[0], numbers[-1])
    edges = [low + (high - low) * at / _BINS for at in range(_BINS + 1)]
    ends = [math.exp(edge) if log else edge for edge in edges]
    names = [_Bin(at, f"{start:.2g}–{end:.2g}") for at, (start, end) in enumerate(pairwise(ends))]

    def bin_of(value: Any) -> Any:
        if value is None:
            return None
        place = (math.log(value) if log else value) - low
        return names[min(int(_BINS * place / (high - low)), _BINS - 1)]

    return [{**row, field: bin_of(row[field])} for row in rows]


class _Bin(NamedTuple):
    """An interval of numbers, which sorts by its place."""

    place: int
    words: str

    def __str__(self) -> str:
        return self.words


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
    """Return a text on lines of about so many characters, broken at spaces, or a dotted name behind its points."""
    parts = text.split(" ")
    broken = [re.sub(r"\.(?=[A-Za-z_])", ". ", part) for part in parts] if max(map(len, parts)) > width else parts
    lines = wrap(" ".join(broken), width, break_long_words=False)
    return "\n".join(re.sub(r"\. (?=[A-Za-z_])", ".", line) for line in lines)


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
