"""What counts as plain rows, for other programs: runs, results, items, curves and measures, each a table of its own.

`harness.load`'s frames are these rows with pandas' types. A trial of several studies comes under the
newest, unless studies are named.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from harness.attempt.messages import unflagged
from harness.attempt.samples import unpacked
from harness.base.extras import parts_named
from harness.base.files import atomic_open
from harness.base.keys import canonical_json
from harness.base.spreadsheet import csv_cell
from harness.store.connection import Store
from harness.store.find import items, values
from harness.store.queries import curve, samples, snapshot
from harness.store.records import AttemptRecord, Snapshot, StudyTrialRecord

Rows = Literal["results", "runs", "items", "curves", "measures"]
ROWS: tuple[Rows, ...] = get_args(Rows)

_RUN: dict[str, type] = {"study": str, "trial": str, "seed": int, "attempt": str}
COLUMNS: Mapping[Rows, Mapping[str, type]] = {
    "results": {**_RUN, "dataset": str, "split": str, "condition": str, "metric": str, "value": float},
    "runs": {
        **_RUN, "state": str, "key": str, "task": str, "model": str, "protocol": str, "device": str, "threads": int,
        "started": str, "ended": str, "seconds": float, "resumed": bool, "code": str, "config": str, "costs": str,
    },
    "items": {
        **_RUN, "dataset": str, "split": str, "condition": str, "metric": str, "item": int, "value": float,
    },
    "curves": {**_RUN, "split": str, "metric": str, "step": int, "value": float},
    "measures": {**_RUN, "kind": str, "device": str, "threads": int, "measure": str, "value": float},
}  # fmt: skip
"""The columns of each table with their types; `config` and `costs` are JSON."""


def rows(
    store: Store,
    what: Rows,
    *,
    studies: Sequence[str] | None,
    protocol_in_words: Callable[[str, Mapping[str, Any]], str],
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table, by study, trial and seed.

    `protocol_in_words` gives the protocol of a trial from its name and the trial's configuration. Raises HarnessError
    for a study that is not stored.
    """
    found = snapshot(store)
    places = {p.trial_key: p for p in found.places(studies)}
    for place in sorted(places.values(), key=lambda p: (p.study, p.position, p.trial_key)):
        for attempt in _attempts(found, place.trial_key, what):
            for row in _rows_of(store, found, place, attempt, what, protocol_in_words):
                yield (place.study, place.name, attempt.seed, attempt.uid, *row)


def write_csv(path: Path, columns: Mapping[str, type], table: Iterator[tuple[Any, ...]]) -> int:
    """Write rows as CSV with a header, all or nothing; nan and inf are written so, and no text as a formula.

    Return how many there were.
    """
    count = 0
    with atomic_open(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(csv_cell, columns))
        for row in table:
            writer.writerow(map(csv_cell, row))
            count += 1
        text.detach()
    return count


def write_parquet(path: Path, columns: Mapping[str, type], table: Iterator[tuple[Any, ...]]) -> int:
    """Write rows as Parquet, all or nothing. Return how many there were. Raises HarnessError without pyarrow."""
    with parts_named():
        import pyarrow as pa
        from pyarrow import parquet
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    read = list(table)
    data = list(zip(*read, strict=True)) or [()] * len(columns)
    fields = [pa.field(name, types[kind]) for name, kind in columns.items()]
    arrays = [pa.array(column, field.type) for column, field in zip(data, fields, strict=True)]
    with atomic_open(path) as file:
        parquet.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), file)
    return len(read)


def _attempts(found: Snapshot, key: str, what: Rows) -> list[AttemptRecord]:
    runs = found.runs(key)
    return [runs[seed] for seed in sorted(runs)] + (found.timings(key) if what == "measures" else [])


def _rows_of(
    store: Store,
    found: Snapshot,
    place: StudyTrialRecord,
    attempt: AttemptRecord,
    what: Rows,
    protocol_in_words: Callable[[str, Mapping[str, Any]], str],
) -> Iterator[tuple[Any, ...]]:
    """Yield an attempt's rows, after the columns that all tables begin with."""
    if what == "results":
        for (key, metric), value in sorted(values(found, attempt).items()):
            evaluation = found.evaluations[key]
            yield evaluation.dataset, evaluation.split, _condition(evaluation.condition), metric, value
    elif what == "items":
        kept = items(found, attempt, partial(samples, store))
        for (key, name), sample in sorted(kept.items(), key=lambda each: each[0]):
            evaluation = found.evaluations[key]
            words = evaluation.dataset, evaluation.split, _condition(evaluation.condition), name
            for number, value in enumerate(unpacked(sample)):
                yield *words, number, value
    elif what == "curves":
        for point in curve(store, attempt.uid):
            yield point.split, point.name, point.step, unflagged(point.value, point.flag)
    elif what == "measures":
        for name, value in attempt.measures.items():
            yield attempt.kind, _device(attempt), attempt.threads, name, value
    else:
        trial = found.trials[attempt.trial_key]
        config = trial.config
        begun, ended = (datetime.fromisoformat(time) for time in (attempt.started, str(attempt.ended)))
        yield (
            attempt.state, trial.key, config["task"]["kind"], config.get("model", {}).get("kind"),
            protocol_in_words(place.protocol_name, config), _device(attempt), attempt.threads, attempt.started,
            attempt.ended, (ended - begun).total_seconds(), attempt.resumed_from is not None, attempt.code_digest,
            canonical_json(config), canonical_json(trial.costs),
        )  # fmt: skip


def _device(attempt: AttemptRecord) -> str:
    return str(attempt.environment.get("device", attempt.device))


def _condition(condition: Mapping[str, Any]) -> str:
    """Return "clean", or a condition's kind with its options."""
    options = [f"{name}={json.dumps(value)}" for name, value in condition.items() if name != "kind"]
    return " ".join([str(condition.get("kind", "clean")), *options])
