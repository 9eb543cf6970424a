"""What each row of a table must be: its resolved configuration, and the protocol's settings with where they are from.

A row of a table of ours is the trial that a study calls by that name, whatever its configuration. So such a table needs
no study file, which an installed package does not have, and follows the study when it is changed: of a name that had
several trials (an edited file, `--set`), the newest of its own that has a run is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.base.errors import HarnessError
from harness.report.tables.match import trial_of
from harness.report.tables.table import Note, Row, Table
from harness.report.tables.table_file import load_paper_table, paper_tables
from harness.store.records import Snapshot, StudyTrialRecord
from harness.trial.resolve import Trial, resolve_network, resolve_trial


@dataclass(frozen=True)
class Setting:
    """A field of the protocol that the paper does not state: its value, "inferred" or "assumed", and why or
    from where.
    """

    field: str
    value: object
    source: str
    where: str


def filled(table: Table, snapshot: Snapshot) -> tuple[Table, dict[str, Mapping[str, Any]], Sequence[Setting]]:
    """Return a table as its document needs it: with its rows' configurations and its protocol's settings.

    A table by name has the rows that are stored, and no settings: it is beside no paper. One by trial names
    studies that need not exist yet: of it there are the networks of the rows that say theirs. Raises HarnessError if
    a row cannot be resolved.
    """
    if table.match == "by name":
        return (*_by_name(table, snapshot), ())
    if table.match == "by trial":
        return table, networks(table), ()
    return table, expected_configs(table), expected_settings(table)


def expected_configs(table: Table) -> dict[str, Mapping[str, Any]]:
    """Return the resolved configuration of each row, by label. Raises HarnessError if one cannot be
    resolved.
    """
    return {row.label: _resolve(table, row).config for row in table.rows}


def networks(table: Table) -> dict[str, Mapping[str, Any]]:
    """Return model and compressors of the rows that name a model, as a configuration has them, by label.

    Raises HarnessError if one cannot be resolved.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for row in table.rows:
        if (model := row.model or table.expect.model) is not None:
            try:
                found[row.label] = resolve_network(model, row.compressors)
            except HarnessError as error:
                raise HarnessError(f"table {table.table}, row '{row.label}': {error}") from error
    return found


@cache
def configs_of_the_paper() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return what each row of the paper's tables is by configuration, by the study and the name of its trial.

    Of a table by trial these are model and compressors alone.
    """
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for table in map(load_paper_table, paper_tables()):
        by_trial = table.match == "by trial"
        configs = networks(table) if by_trial else expected_configs(table)
        for row in table.rows:
            names = {trial_of(row, column) for column in table.columns} if by_trial else {row.trial.name}
            if row.label in configs:
                found |= {(row.trial.study, name): configs[row.label] for name in names}
    return found


def expected_settings(table: Table) -> list[Setting]:
    """Return the fields of the table's protocol: value, source (stated, inferred, assumed) and where it is
    from.
    """
    protocol = _resolve(table, table.rows[0]).protocol
    fields = protocol.fields if protocol else {}
    return [Setting(name, field.value, field.source, field.where) for name, field in fields.items()]


def _resolve(table: Table, row: Row) -> Trial:
    expect = table.expect
    try:
        return resolve_trial(
            task=expect.task,
            dataset=expect.dataset,
            model=row.model or expect.model,
            compressors=row.compressors,
            protocol=expect.protocol,
        )
    except HarnessError as error:
        raise HarnessError(f"table {table.table}, row '{row.label}': {error}") from error


def _by_name(table: Table, snapshot: Snapshot) -> tuple[Table, dict[str, Mapping[str, Any]]]:
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
