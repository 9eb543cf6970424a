"""Tables of ours: each row is the trial that a study calls by that name, whatever its configuration.

So they need no study file, which an installed package does not have, and follow the study when it is changed: of a name
that had several trials (an edited file, `--set`), the newest of its own that has a run is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report.tables.table import Note, Row, Table
from harness.store.records import Snapshot, StudyTrialRecord


def by_name(table: Table, snapshot: Snapshot) -> tuple[Table, dict[str, Mapping[str, Any]]]:
    """Return the table with the rows of which a run is stored, and their configurations as `expected_configs` does.

    A note says how many rows are left out.

    A row's seeds are its own, the table's, or else the study's.
    """
    rows, expected = [], {}
    for row in table.rows:
        record = _newest(table, row, snapshot)
        if record is not None:
            rows.append(row.model_copy(update={"seeds": _seeds(table, row, record)}))
            expected[row.label] = snapshot.trials[record.trial_key].config
    return table.model_copy(update={"rows": tuple(rows), "notes": (*table.notes, *_left_out(table, rows))}), expected


def _left_out(table: Table, rows: Sequence[Row]) -> Iterable[Note]:
    missing = len(table.rows) - len(rows)
    if missing:
        yield Note(text=f"{missing} of {len(table.rows)} rows are left out, as no run of them is stored.")


def _newest(table: Table, row: Row, snapshot: Snapshot) -> StudyTrialRecord | None:
    for record in reversed(snapshot.study_trials):
        if (record.study, record.name) == (row.trial.study, row.trial.name):
            stored = snapshot.runs(record.trial_key)
            if any(seed in stored for seed in _seeds(table, row, record)):
                return record
    return None


def _seeds(table: Table, row: Row, record: StudyTrialRecord) -> tuple[int, ...]:
    return row.seeds or table.expect.seeds or record.seeds
