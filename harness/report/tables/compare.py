"""Statistics beside each result of a table: over all stored seeds of its trial, and against the row that it is
against. A cell shows what the table states (the better of two runs); what can be told of it rests on all there is.

Rows are compared only if their protocols and data are the same: else no pair of runs saw the same batches.
`row_statistics` is for `harness report statistics`: with bootstrap intervals, what the better of two runs is expected
to be, and unpaired tests beside paired ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from harness.attempt.messages import Sample
from harness.attempt.metrics import Metric
from harness.report.document import ItemGap, Statistics
from harness.report.printing import in_unit
from harness.report.tables.cells import TracedCell, find
from harness.report.tables.declared import metric_named, metrics_of
from harness.report.tables.expected import filled
from harness.report.tables.provenance import accepted_remarks
from harness.report.tables.selection import evaluation_keys, values
from harness.report.tables.table import Table
from harness.stats.comparison import (
    McNemar,
    Methods,
    Spread,
    alike,
    corrected,
    difference,
    mcnemar_of,
    methods,
    networks,
    paired_means,
    same_items,
    spread,
)
from harness.stats.tests import binomial_error, deviation, mean
from harness.store.records import Snapshot

Samples = Callable[[str], Sequence[Sample]]  # an attempt's uid -> its values by image
UNKNOWN = "nothing is stored of the row that it is compared with"
UNLIKE = "its protocol or data are not those of the row that it is compared with"
NO_SEED = "it has no seed in common with the row that it is compared with"


def with_statistics(
    snapshot: Snapshot, table: Table, found: Sequence[TracedCell], samples: Samples | None = None
) -> list[TracedCell]:
    """Return the same cells, those of results with their statistics.

    `samples` gives an attempt's values by image; without it there is no McNemar test. Holm's correction is over all
    rows of a column.
    """
    by_item = _Networks(snapshot, samples)
    done: dict[tuple[str, str], Statistics] = {}
    for column in (c for c in table.columns if c.source == "result"):
        rows = {f.row.label: f for f in found if f.column.key == column.key}
        tests = sum(table.against(f.row) is not None for f in rows.values())  # at most
        mine = {label: _statistics(snapshot, table, rows, f, by_item, tests) for label, f in rows.items()}
        for label, statistics in corrected_rows(mine).items():
            done[label, column.key] = statistics
    return [replace(f, cell=replace(f.cell, statistics=done.get((f.row.label, f.column.key)))) for f in found]


def corrected_rows(rows: Mapping[str, Statistics | None]) -> dict[str, Statistics]:
    """Fill in Holm's correction over all rows that are compared."""
    known = {label: s for label, s in rows.items() if s is not None}
    adjusted = corrected({label: s.difference for label, s in known.items() if s.difference is not None})
    return {label: replace(s, difference=adjusted.get(label)) for label, s in known.items()}


def _statistics(
    snapshot: Snapshot,
    table: Table,
    rows: Mapping[str, TracedCell],
    found: TracedCell,
    by_item: "_Networks",
    tests: int,
) -> Statistics | None:
    """Return a row's statistics, without Holm's correction over `tests` rows; None if nothing is stored of it."""
    mine = values_by_seed(snapshot, found)
    if not mine:
        return None
    numbers = list(mine.values())
    against = table.against(found.row)
    bare = Statistics(tuple(mine), mean(numbers), deviation(numbers), against)
    if against is None:
        return bare
    other = rows.get(against)
    theirs = {} if other is None else values_by_seed(snapshot, other)
    if other is None or not theirs:
        return replace(bare, note=UNKNOWN)
    if not rows_alike(found, other):
        return replace(bare, note=UNLIKE)
    seeds = tuple(seed for seed in mine if seed in theirs)
    by_seed = tuple(pair for seed in seeds if (pair := by_item.pair(found, other, seed, seed)) is not None)
    shown = by_seed[0] if by_seed else None
    if found.cell.select == "best":
        shown = by_item.pair(found, other, found.chosen, other.chosen)
    compared = replace(
        bare,
        mcnemar=shown if isinstance(shown, McNemar) else None,
        mcnemar_by_seed=tuple(pair for pair in by_seed if isinstance(pair, McNemar)),
        items=shown if isinstance(shown, ItemGap) else None,
    )
    over_seeds = difference(theirs, mine, tests)
    if over_seeds is None:
        return replace(compared, note=NO_SEED)
    return replace(compared, difference=over_seeds, paired_means=paired_means(mine, theirs))


def values_by_seed(snapshot: Snapshot, found: TracedCell) -> dict[int, float]:
    """Return what is stored of the trial behind a cell at any seed, in the column's unit; nothing of an empty cell."""
    column, candidate, dataset = found.column, found.candidate, found.dataset
    if candidate is None or dataset is None:
        return {}
    key = candidate.trial.key
    stored = values(snapshot, key, sorted(snapshot.runs(key)), column.metric, found.evaluation, dataset)
    return {seed: in_unit(value, column) for seed, value in stored.items() if value is not None}


def metric_of(snapshot: Snapshot, found: TracedCell) -> Metric:
    """Return what the metric of a column of results is, as the trial in the cell has it."""
    known = () if found.candidate is None else metrics_of(snapshot, found.candidate.trial.key, found.row.trial.study)
    return metric_named(known, found.column.metric)


def rows_alike(one: TracedCell, other: TracedCell) -> bool:
    """Return whether two rows were trained by one protocol on the same data, and so may be paired by seed."""
    if one.candidate is None or other.candidate is None:
        return False
    on_one_set = one.dataset == other.dataset
    return on_one_set and alike(one.candidate.trial.config, other.candidate.trial.config)


class _Networks:
    """What each run's network makes of each image, from the stored samples."""

    def __init__(self, snapshot: Snapshot, samples: Samples | None) -> None:
        self._snapshot = snapshot
        self._samples: Samples = cache(samples) if samples is not None else lambda _: ()

    def pair(
        self, one: TracedCell, other: TracedCell, seed: int | None, other_seed: int | None
    ) -> McNemar | ItemGap | None:
        """Compare two runs image by image; None if either kept no values by image, or is nan."""
        a, b = self._by_item(one, seed), self._by_item(other, other_seed)
        if seed is None or other_seed is None or a is None or b is None:
            return None
        if not self._on_same_images(a, b):
            return None
        if a.encoding == "bits":
            return mcnemar_of(b, a, (seed, other_seed))
        if not same_items(a, b):
            return None
        found = networks(b, a)
        ends = (None, None) if found.bootstrap_95 is None else found.bootstrap_95
        gaps = [None if value is None else in_unit(value, one.column) for value in ends]
        return ItemGap(seed, other_seed, a.count, in_unit(found.difference, one.column), *gaps)

    def _on_same_images(self, a: Sample, b: Sample) -> bool:
        """Return whether values are of one metric on the same images, whatever a condition made of these."""
        known = self._snapshot.evaluations
        on_one_set = a.evaluation == b.evaluation or (
            known[a.evaluation].fingerprint == known[b.evaluation].fingerprint
        )
        return on_one_set and same_items(a, replace(b, evaluation=a.evaluation))

    def _by_item(self, found: TracedCell, seed: int | None) -> Sample | None:
        name = metric_of(self._snapshot, found).by_item
        if seed is None or name is None or found.candidate is None or found.dataset is None:
            return None
        run = self._snapshot.runs(found.candidate.trial.key).get(seed)
        if run is None or run.state == "nan":
            return None
        keys = evaluation_keys(self._snapshot, found.evaluation, found.dataset)
        for attempt in (run, *reversed(self._snapshot.evaluated_later(run.uid))):  # of several, the newest
            for sample in self._samples(attempt.uid):
                if sample.name == name and sample.evaluation in keys:
                    return sample
        return None


def test_images(snapshot: Snapshot, found: TracedCell) -> int | None:
    """Return of how many images a cell shows the fraction for which something holds; None if it shows none, or their
    number is not known.
    """
    dataset = found.dataset
    if (
        found.column.unit not in {"fraction", "percent"}
        or dataset is None
        or not metric_of(snapshot, found).counts_items
    ):
        return None
    sizes = {images_of(snapshot, key) for key in evaluation_keys(snapshot, found.evaluation, dataset)} - {None}
    return sizes.pop() or None if len(sizes) == 1 else None


def images_of(snapshot: Snapshot, evaluation: str) -> int | None:
    """Return the number of images of an evaluation, if its data are known."""
    record = snapshot.evaluations.get(evaluation)
    data = None if record is None else snapshot.datasets.get(record.fingerprint)
    return None if data is None else data.images


@dataclass(frozen=True)
class RowStatistics:
    """One row's result over its seeds, in the column's unit."""

    column: str
    row: str
    unit: str
    spread: Spread
    error: float | None  # the binomial standard error of one accuracy, at the mean
    against: str | None
    compared: Methods | None  # a: the row that it is compared with, b: this row
    remarks: tuple[str, ...] = ()  # by whose word runs of other trials count


def row_statistics(snapshot: Snapshot, table: Table) -> list[RowStatistics]:
    """Return the statistics of each row of which a run is stored, column by column."""
    table, expected, _ = filled(table, snapshot)
    cells = [f for f in find(snapshot, table, expected) if f.column.source == "result"]
    found = []
    for column in (c for c in table.columns if c.source == "result"):
        rows = {f.row.label: f for f in cells if f.column.key == column.key}
        found += [_row(snapshot, table, rows[label], rows) for label in rows if values_by_seed(snapshot, rows[label])]
    return found


def _row(snapshot: Snapshot, table: Table, found: TracedCell, rows: dict[str, TracedCell]) -> RowStatistics:
    column, mine = found.column, values_by_seed(snapshot, found)
    against = table.against(found.row)
    other = None if against is None else rows[against]
    theirs = {} if other is None else values_by_seed(snapshot, other)
    compared = None
    if other is not None and theirs:
        compared = methods(theirs, mine, alike=rows_alike(found, other), better=column.better)
    summed = spread(mine, column.better)
    return RowStatistics(
        column.label,
        found.row.label,
        column.unit,
        summed,
        _error(snapshot, found, summed.mean),
        against,
        compared,
        tuple(accepted_remarks(found.attempts)),
    )


def _error(snapshot: Snapshot, found: TracedCell, mean: float) -> float | None:
    images = test_images(snapshot, found)
    whole = 100 if found.column.unit == "percent" else 1
    if images is None or not 0 <= mean <= whole:
        return None
    return whole * binomial_error(mean / whole, images)
