"""What each row of a table must be: its resolved configuration, and the protocol's settings with where they
are from.
"""

from collections.abc import Mapping
from typing import Any

from harness.report.table import Row, Table
from harness.report.table_document import Setting
from harness.spec.errors import HarnessError
from harness.spec.resolve import Trial, resolve_trial


def expected_configs(table: Table) -> dict[str, Mapping[str, Any]]:
    """Return the resolved configuration of each row, by label. Raises HarnessError where one cannot be
    resolved.
    """
    return {row.label: _resolve(table, row).config for row in table.rows}


def expected_settings(table: Table) -> list[Setting]:
    """Return the fields of the table's protocol: value, source (stated, inferred, assumed) and where it is
    from.
    """
    fields = _resolve(table, table.rows[0]).protocol.fields
    return [Setting(name, field.value, field.source, field.where) for name, field in fields.items()]


def _resolve(table: Table, row: Row) -> Trial:
    expect = table.expect
    try:
        return resolve_trial(
            task=expect.task,
            dataset=expect.dataset,
            model=expect.model,
            compressors=row.compressors,
            protocol=expect.protocol,
        )
    except HarnessError as error:
        raise HarnessError(f"table {table.table}, row '{row.label}': {error}") from error
