"""`harness results query`: a person's own SQL, which can only read."""

from pathlib import Path
from typing import Any

import click

from harness.cli.common import format_option, json_number, print_csv, print_json, print_table, sources_option


@click.command()
@click.argument("sql", metavar="SQL")
@format_option("text", "csv", "json")
@sources_option
def query(sql: str, fmt: str, sources: tuple[Path, ...]) -> None:
    """Print the rows that SQL finds; it reads, whatever else it asks for is refused.

    docs/results.md describes the tables. v_run has a row a result of each run, v_time a row a measured time.

    \b
    harness results query "SELECT model, seed, value FROM v_run WHERE name = 'accuracy'"
    harness results query "SELECT state, count(*) AS attempts FROM attempt GROUP BY state" --format json
    harness results query "SELECT * FROM v_time" --from results/published --format csv
    """
    from harness.store.merge import open_results
    from harness.store.queries import ask

    with open_results(sources) as store:
        answer = ask(store, sql)
    rows = [[_shown(value) for value in row] for row in answer.rows]
    if fmt == "json":
        print_json([dict(zip(answer.columns, row, strict=True)) for row in rows])
    elif fmt == "csv":
        print_csv(answer.columns, rows)
    else:
        print_table(answer.columns, rows, lines=True)


def _shown(value: Any) -> Any:
    """Return a value as text, CSV and JSON have it: bytes as hexadecimal digits."""
    return value.hex() if isinstance(value, bytes) else json_number(value)
