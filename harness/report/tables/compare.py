"""Statistics beside each result of a table: over all stored seeds of its trial, and against the row that it stands
against. A cell shows what the table states (the better of two runs); what can be told of it rests on all there is.

Rows are compared only if their protocols and data are the same: else no pair of runs saw the same batches.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from harness.attempt.messages import Sample
from harness.attempt.metrics import Metric
from harness.report.printing import in_unit
from harness.report.tables.cells import Found
from harness.report.tables.declared import metric_named, metrics_of
from harness.report.tables.selection import evaluation_keys, values
from harness.report.tables.statistics import Difference, ItemGap, McNemar, Statistics
from harness.report.tables.table import Table
from harness.stats.comparison import alike, networks
from harness.stats.tests import deviation, draw_error, draws, gap, holm, interval, mcnemar, mean, sign_flip, smallest_p
from harness.store.records import Snapshot

Samples = Callable[[str], Sequence[Sample]]  # an attempt's uid -> its values by image
_UNKNOWN = "nothing is stored of the row that it stands against"
_UNLIKE = "its protocol or data are not those of the row that it stands against"
_NO_SEED = "it has no seed in common with the row that it stands against"


def with_statistics(
    snapshot: Snapshot, table: Table, found: Sequence[Found], samples: Samples | None = None
) -> list[Found]:
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
        for label, statistics in _corrected(mine).items():
            done[label, column.key] = statistics
    return [replace(f, cell=replace(f.cell, statistics=done.get((f.row.label, f.column.key)))) for f in found]


def _corrected(rows: Mapping[str, Statistics | None]) -> dict[str, Statistics]:
    """Fill in Holm's correction over all rows that are compared."""
    compared = {label: s.difference for label, s in rows.items() if s is not None and s.difference is not None}
    adjusted = dict(zip(compared, holm([d.p for d in compared.values()]), strict=True))
    tests = sum(not math.isnan(p) for p in adjusted.values())
    return {
        label: s
        if s.difference is None
        else replace(s, difference=replace(s.difference, p_holm=adjusted[label], tests=tests))
        for label, s in rows.items()
        if s is not None
    }


def _statistics(
    snapshot: Snapshot, table: Table, rows: Mapping[str, Found], found: Found, by_item: "_Networks", tests: int
) -> Statistics | None:
    """Return a row's statistics, without Holm's correction over `tests` rows; None where nothing is stored of it."""
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
        return replace(bare, note=_UNKNOWN)
    if not rows_alike(found, other):
        return replace(bare, note=_UNLIKE)
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
    if not seeds:
        return replace(compared, note=_NO_SEED)
    means = mean([mine[s] for s in seeds]), mean([theirs[s] for s in seeds])
    difference = _difference(seeds, [gap(mine[s], theirs[s]) for s in seeds], tests)
    return replace(compared, difference=difference, paired_means=None if mine.keys() == theirs.keys() else means)


def values_by_seed(snapshot: Snapshot, found: Found) -> dict[int, float]:
    """Return what is stored of the trial behind a cell at any seed, in the column's unit; nothing of an empty cell."""
    column, candidate, dataset = found.column, found.candidate, found.dataset
    if candidate is None or dataset is None:
        return {}
    key = candidate.trial.key
    stored = values(snapshot, key, sorted(snapshot.runs(key)), column.metric, column.evaluation, dataset)
    return {seed: in_unit(value, column) for seed, value in stored.items() if value is not None}


def metric_of(snapshot: Snapshot, found: Found) -> Metric:
    """Return what the metric of a column of results is, as the trial in the cell has it."""
    known = () if found.candidate is None else metrics_of(snapshot, found.candidate.trial.key, found.row.trial.study)
    return metric_named(known, found.column.metric)


def rows_alike(one: Found, other: Found) -> bool:
    """Return whether two rows were trained by one protocol on the same data, and so may be paired by seed."""
    if one.candidate is None or other.candidate is None:
        return False
    return alike(one.candidate.trial.config, other.candidate.trial.config)


def _difference(seeds: tuple[int, ...], gaps: Sequence[float], tests: int) -> Difference:
    """Return a paired comparison; `p_holm` is that of a single test, until it is corrected."""
    low, high = interval(gaps) or (None, None)
    p, drawn = sign_flip(gaps, tests), draws(len(gaps), tests)
    least = smallest_p(len(gaps), tests=tests)
    return Difference(seeds, mean(gaps), deviation(gaps), low, high, p, least, p, 1, drawn, draw_error(p, drawn))


class _Networks:
    """What each run's network makes of each image, from the stored samples."""

    def __init__(self, snapshot: Snapshot, samples: Samples | None) -> None:
        self._snapshot = snapshot
        self._samples: Samples = cache(samples) if samples is not None else lambda _: ()

    def pair(self, one: Found, other: Found, seed: int | None, other_seed: int | None) -> McNemar | ItemGap | None:
        """Compare two runs image by image; None where either kept no values by image, or is nan."""
        a, b = self._by_item(one, seed), self._by_item(other, other_seed)
        if seed is None or other_seed is None or a is None or b is None:
            return None
        if (a.evaluation, a.name, a.count, a.encoding) != (b.evaluation, b.name, b.count, b.encoding):
            return None
        if a.encoding != "bits":
            found = networks(b, a)
            ends = (None, None) if found.bootstrap_95 is None else found.bootstrap_95
            gaps = [None if value is None else in_unit(value, one.column) for value in ends]
            return ItemGap(seed, other_seed, a.count, in_unit(found.difference, one.column), *gaps)
        ours, theirs = int.from_bytes(a.packed), int.from_bytes(b.packed)
        mine, not_mine = (ours & ~theirs).bit_count(), (theirs & ~ours).bit_count()
        return McNemar(seed, other_seed, mine, not_mine, mcnemar(mine, not_mine))

    def _by_item(self, found: Found, seed: int | None) -> Sample | None:
        name = metric_of(self._snapshot, found).by_item
        if seed is None or name is None or found.candidate is None:
            return None
        run = self._snapshot.runs(found.candidate.trial.key).get(seed)
        if run is None or run.state == "nan":
            return None
        keys = evaluation_keys(self._snapshot, found.column.evaluation, found.candidate.dataset)
        for attempt in (run, *self._snapshot.evaluated_later(run.uid)):
            for sample in self._samples(attempt.uid):
                if sample.name == name and sample.evaluation in keys:
                    return sample
        return None
