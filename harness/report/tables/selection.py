"""Which of a row's runs a cell shows: the best of the stated seeds, as in the paper, their mean, or their
median.

All measured cells of a row come from the one run that `select_by` picks; mean and median are of all stated
runs. A value that is nan or infinite is a result: it is never the best, and counts as the worst in a median; a nan
makes a mean nan.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from harness.attempt.metrics import Better
from harness.report.tables.conditions import named_conditions
from harness.report.tables.table import Evaluated, Select
from harness.stats.tests import mean
from harness.store import find
from harness.store.records import AttemptRecord, Snapshot
from harness.trial.datasets import DATASETS
from harness.trial.function import RETURNED

Values = Mapping[int, float | None]  # by seed


def values(
    snapshot: Snapshot, trial_key: str, seeds: Sequence[int], metric: str, on: Evaluated, dataset: str
) -> dict[int, float | None]:
    """Return a metric of each stated seed's run on one evaluation, None if it is not stored."""
    keys = evaluation_keys(snapshot, on, dataset)
    runs = snapshot.runs(trial_key)
    found: dict[int, float | None] = {}
    for seed in seeds:
        run = runs.get(seed)
        known = {} if run is None else find.values(snapshot, run)
        hits = {value for (key, name), value in sorted(known.items()) if name == metric and key in keys}
        diverged = run is not None and run.state == "nan" and not hits
        found[seed] = math.nan if diverged else next(iter(hits)) if len(hits) == 1 else None
    return found


def behind(
    snapshot: Snapshot, run: AttemptRecord, metric: str, on: Evaluated, dataset: str
) -> tuple[AttemptRecord, ...]:
    """Return the attempts that are behind the value of `values` at a run: that which trained or evaluated it."""
    keys = sorted(evaluation_keys(snapshot, on, dataset))
    return find.gave(snapshot, run, [(key, metric) for key in keys]) or (run,)


def evaluation_keys(snapshot: Snapshot, on: Evaluated, dataset: str) -> set[str]:
    """Return the keys of an evaluation: by contents, if the dataset is one of ours, else by its name.

    What functions return is one evaluation, whatever split and condition a column names.
    """
    if dataset == RETURNED.dataset:
        return {RETURNED.key}
    declared = DATASETS.get(dataset)
    split = None if declared is None else declared.splits.get(on.split)
    meant = named_conditions(snapshot, on.condition)
    return {
        record.key
        for record in snapshot.evaluations.values()
        if record.condition in meant
        and (
            record.fingerprint == split.fingerprint
            if split is not None
            else (record.dataset, record.split) == (dataset, on.split)
        )
    }


def pick(by: Values, better: Better) -> int | None:
    """Return the seed of the best value; the smaller seed of equals; None if no value is a number."""
    sign = 1 if better == "lower" else -1
    ranked = sorted((sign * value, seed) for seed, value in by.items() if value is not None and math.isfinite(value))
    return ranked[0][1] if ranked else None


def aggregate(found: Values, how: Select, better: Better, chosen: int | None) -> float | None:
    """Return the value that a cell shows: `chosen`'s for best, else the mean or median of what is stored."""
    stored = [value for value in found.values() if value is not None]
    if not stored:
        return None
    if how == "best":
        return math.nan if chosen is None else found.get(chosen)
    if how == "mean":
        return mean(stored)
    last = -math.inf if better == "higher" else math.inf
    middle = median(value if math.isfinite(value) else last for value in stored)
    return math.nan if math.isinf(middle) else middle
