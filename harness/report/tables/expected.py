"""What each row of a table must be: its resolved configuration, and the protocol's settings with where they
are from.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from harness.base.errors import HarnessError
from harness.report.tables.by_name import by_name
from harness.report.tables.table import Row, Table
from harness.report.tables.table_document import Setting
from harness.report.tables.table_file import load_paper_table, paper_tables
from harness.store.records import Snapshot
from harness.trial.resolve import Trial, resolve_trial


def filled(table: Table, snapshot: Snapshot) -> tuple[Table, dict[str, Mapping[str, Any]], Sequence[Setting]]:
    """Return a table as its document needs it: with its rows' configurations and its protocol's settings.

    A table by name has the rows that are stored, and no settings: it is beside no paper. One by trial names
    studies that need not exist yet, so nothing of it is resolved. Raises HarnessError where a
    row cannot be resolved.
    """
    if table.match == "by name":
        return (*by_name(table, snapshot), ())
    if table.match == "by trial":
        return table, {}, ()
    return table, expected_configs(table), expected_settings(table)


def expected_configs(table: Table) -> dict[str, Mapping[str, Any]]:
    """Return the resolved configuration of each row, by label. Raises HarnessError where one cannot be
    resolved.
    """
    return {row.label: _resolve(table, row).config for row in table.rows}


@cache
def configs_of_the_paper() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """Return the resolved configuration of each row of the paper's tables, by the study and the name of its trial."""
    tables = [table for table in map(load_paper_table, paper_tables()) if table.match == "by configuration"]
    return {
        (row.trial.study, row.trial.name): config
        for table in tables
        for row, config in zip(table.rows, expected_configs(table).values(), strict=True)
    }


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
