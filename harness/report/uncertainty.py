"""What stands under a table on how far its numbers can be trusted: what choosing the best of k runs adds, and the
binomial standard error of an accuracy on its test set.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.report.cells import Found
from harness.report.printing import fixed, in_unit
from harness.report.selection import evaluation_keys, values
from harness.report.stats import best_of, binomial_error, bootstrap
from harness.report.table import Better, Column
from harness.store.records import Snapshot

_COUNTED = {2: "two", 3: "three", 4: "four", 5: "five"}
_UNIT = {"fraction": "", "percent": " percentage points", "count": "", "M": " M", "s": " s", "dB": " dB"}


@dataclass(frozen=True)
class Choosing:
    """How far the best of k runs lies from the mean, over all rows: always as a gain, also where lower is better."""

    k: int
    bias: float
    interval: tuple[float, float] | None  # 95 %, rows resampled, or the runs of the only one; None without a spread
    rows: int
    runs: int


def choosing(rows: Iterable[Sequence[float]], k: int, better: Better = "higher") -> Choosing | None:
    """Return what choosing the best of k adds, from the runs of each row; None without a row of k finite runs."""
    sign = 1 if better == "higher" else -1
    known = [[sign * v for v in row] for row in rows if len(row) >= max(k, 2) and all(map(math.isfinite, row))]
    if not known or k < 2:
        return None
    biases = [best_of(row, k).bias for row in known]
    several = bootstrap(biases) if len(biases) > 1 else bootstrap(known[0], statistic=lambda x: best_of(x, k).bias)
    return Choosing(k, fmean(biases), several, len(known), sum(map(len, known)))


def choosing_notes(snapshot: Snapshot, found: Sequence[Found], k: int) -> Iterable[str]:
    """Yield what the best of k adds, a sentence for each unit of a table's results, from all stored seeds."""
    by: dict[tuple[str, Better], list[list[float]]] = {}
    formats: dict[tuple[str, Better], Column] = {}
    for each in found:
        if each.column.source == "result" and each.candidate is not None:
            by.setdefault((each.column.unit, each.column.better), []).append(_all_runs(snapshot, each))
            formats.setdefault((each.column.unit, each.column.better), each.column)
    for (unit, better), rows in by.items():
        told = choosing(rows, k, better)
        if told is not None:
            yield _in_words(told, formats[unit, better])


def _in_words(told: Choosing, column: Column) -> str:
    digits, unit = column.format.digits + 1, _UNIT.get(column.unit, f" {column.unit}")
    what = "the only row" if told.rows == 1 else f"{told.rows} rows"
    side = "above" if column.better == "higher" else "below"
    within = ""
    if told.interval is not None:
        low, high = (fixed(end, digits) for end in told.interval)
        within = f" (95%: {low} to {high}, bootstrap over {'runs' if told.rows == 1 else 'rows'})"
    return (
        f"By the {told.runs} stored runs of {what}, the best of {_COUNTED.get(told.k, told.k)} is expected to lie"
        f" {fixed(told.bias, digits)}{unit} {side} the mean{within}."
    )


def _all_runs(snapshot: Snapshot, found: Found) -> list[float]:
    """Return a result of all stored seeds of the trial behind a cell, in the column's unit."""
    column, candidate = found.column, found.candidate
    dataset = found.dataset
    if candidate is None or dataset is None:
        return []
    seeds = sorted(snapshot.runs(candidate.trial.key))
    stored = values(snapshot, candidate.trial.key, seeds, column.metric, column.evaluation, dataset)
    return [in_unit(value, column) for value in stored.values() if value is not None]


def accuracy_notes(snapshot: Snapshot, found: Sequence[Found]) -> Iterable[str]:
    """Yield a sentence for each test set of which a table shows accuracies."""
    by: dict[tuple[int, str], list[float]] = {}
    for each in found:
        shown = each.cell.ours
        if shown is None or math.isnan(shown):
            continue
        images = test_images(snapshot, each)
        if images is not None:
            by.setdefault((images, each.column.unit), []).append(shown)
    for (images, unit), accuracies in by.items():
        yield accuracy_note([value / (100 if unit == "percent" else 1) for value in accuracies], images)


def test_images(snapshot: Snapshot, found: Found) -> int | None:
    """Return on how many images the accuracy in a cell was measured; None where it is none, or of no known images."""
    dataset = found.dataset
    if found.column.metric != "accuracy" or found.column.unit not in {"fraction", "percent"} or dataset is None:
        return None
    sizes = {images_of(snapshot, key) for key in evaluation_keys(snapshot, found.column.evaluation, dataset)} - {None}
    return sizes.pop() or None if len(sizes) == 1 else None


def images_of(snapshot: Snapshot, evaluation: str) -> int | None:
    """Return the number of images of an evaluation, where its data are known."""
    record = snapshot.evaluations.get(evaluation)
    data = None if record is None else snapshot.datasets.get(record.fingerprint)
    return None if data is None else data.images


def accuracy_note(accuracies: Sequence[float], images: int) -> str:
    """Return "On 10,000 test images the binomial standard error of an accuracy of 98.0% is ±0.14 percentage points"."""
    low, high = min(accuracies), max(accuracies)
    errors = sorted(fixed(100 * binomial_error(a, images), 2) for a in (low, high))
    of = f"{100 * low:.1f}%" if f"{low:.3f}" == f"{high:.3f}" else f"{100 * low:.1f}% to {100 * high:.1f}%"
    size = f"±{errors[0]}" if errors[0] == errors[1] else f"±{errors[0]} to ±{errors[1]}"
    return (
        f"On {images:,} test images the binomial standard error of an accuracy of {of} is {size} percentage points: of"
        " one network, however often it is tested."
    )
