"""What is under a table on how far its numbers can be trusted: what choosing the best of k runs adds, and the
binomial standard error of a fraction of the test set's images, such as an accuracy.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from harness.attempt.metrics import Better
from harness.report.printing import fixed
from harness.report.tables.cells import TracedCell
from harness.report.tables.compare import test_images, values_by_seed
from harness.report.tables.table import Column
from harness.stats.tests import best_of, binomial_error
from harness.store.records import Snapshot

_COUNTED = {2: "two", 3: "three", 4: "four", 5: "five"}
_UNIT = {"fraction": "", "percent": " percentage points", "count": "", "M": " M", "s": " s", "dB": " dB"}


@dataclass(frozen=True)
class Choosing:
    """How far the best of k runs lies from the mean, over all rows: always as a gain, also if lower is better."""

    k: int
    bias: float
    without_a_seed: tuple[float, float] | None  # least and most, each seed left out in turn; None if too few stay
    rows: int
    runs: int


def choosing(rows: Iterable[Mapping[int, float]], k: int, better: Better = "higher") -> Choosing | None:
    """Return what choosing the best of k adds, from the runs of each row by seed; None without a row of k finite runs.

    Rows share their seeds, so that they are not draws of their own: leaving one seed out of all of them shows how far
    the figure can be trusted.
    """
    sign = 1 if better == "higher" else -1
    known = [
        {seed: sign * v for seed, v in row.items()}
        for row in rows
        if len(row) >= max(k, 2) and all(map(math.isfinite, row.values()))
    ]
    if not known or k < 2:
        return None
    seeds = sorted({seed for row in known for seed in row})
    left = [[{s: v for s, v in row.items() if s != seed} for row in known] for seed in seeds]
    enough = all(len(row) >= k for rows_left in left for row in rows_left)
    biases = [_bias(rows_left, k) for rows_left in left] if enough else []
    within = (min(biases), max(biases)) if biases else None
    return Choosing(k, _bias(known, k), within, len(known), sum(map(len, known)))


def _bias(rows: Sequence[Mapping[int, float]], k: int) -> float:
    return fmean(best_of(list(row.values()), k).bias for row in rows)


def choosing_notes(snapshot: Snapshot, found: Sequence[TracedCell], k: int) -> Iterable[str]:
    """Yield what the best of k adds, a sentence for each unit of a table's results, from all stored seeds."""
    by: dict[tuple[str, Better], list[Mapping[int, float]]] = {}
    formats: dict[tuple[str, Better], Column] = {}
    for each in found:
        if each.column.source == "result" and each.candidate is not None:
            by.setdefault((each.column.unit, each.column.better), []).append(values_by_seed(snapshot, each))
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
    if told.without_a_seed is not None:
        low, high = (fixed(end, digits) for end in told.without_a_seed)
        within = f" ({low} to {high} where any one seed is left out)"
    return (
        f"By the {told.runs} stored runs of {what}, the best of {_COUNTED.get(told.k, told.k)} is expected to lie"
        f" {fixed(told.bias, digits)}{unit} {side} the mean{within}."
    )


def accuracy_notes(snapshot: Snapshot, found: Sequence[TracedCell]) -> Iterable[str]:
    """Yield a sentence for each test set and metric of which a table shows fractions of images, such as accuracies."""
    by: dict[tuple[int, str, str], list[float]] = {}
    for each in found:
        shown = each.cell.ours
        if shown is None or math.isnan(shown):
            continue
        images = test_images(snapshot, each)
        if images is not None:
            by.setdefault((images, each.column.unit, each.column.metric), []).append(shown)
    for (images, unit, name), fractions in by.items():
        yield accuracy_note([value / (100 if unit == "percent" else 1) for value in fractions], images, name)


def accuracy_note(accuracies: Sequence[float], images: int, name: str) -> str:
    """Return "On 10,000 test images the binomial standard error of an accuracy of 98.0% is ±0.14 percentage points".

    `name` is what the fraction of the images is called.
    """
    a = "an" if name[:1].lower() in "aeiou" else "a"
    low, high = min(accuracies), max(accuracies)
    errors = sorted(fixed(100 * binomial_error(a, images), 2) for a in (low, high))
    of = f"{100 * low:.1f}%" if f"{low:.3f}" == f"{high:.3f}" else f"{100 * low:.1f}% to {100 * high:.1f}%"
    size = f"±{errors[0]}" if errors[0] == errors[1] else f"±{errors[0]} to ±{errors[1]}"
    return (
        f"On {images:,} test images the binomial standard error of {a} {name} of {of} is {size} percentage points: of"
        " one network, however often it is tested."
    )
