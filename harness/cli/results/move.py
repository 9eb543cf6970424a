"""`harness results export` and `merge`: how results leave a store and enter it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import db_option
from harness.spec.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Collection

    from harness.store.connection import Store
    from harness.store.flat import Rows

_ENDINGS = frozenset({".jsonl", ".csv", ".parquet"})


@click.command()
@click.option("--study", "studies", metavar="NAME", multiple=True, help="Only these studies  [default: all]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write: *.jsonl, *.csv or *.parquet.",
)
@click.option(
    "--rows",
    type=click.Choice(["results", "runs", "curves", "measures"]),
    help="What a row of CSV or Parquet is  [default: results]",
)
@click.option("--maps/--no-maps", default=True, show_default=True,
              help="Write the maps too; beside them they hold ten images of the test set.")  # fmt: skip
@db_option
def export(studies: tuple[str, ...], out: Path, rows: "Rows | None", maps: bool, db: Path) -> None:
    """Write the attempts that count: as JSON lines to be published, or as rows of CSV or Parquet for other programs.

    JSON lines hold all of an attempt, and can be merged again; its maps are written beside, named by SHA-256. CSV and
    Parquet hold one table: results (a row a metric of a run), runs, curves (a row a point) or measures (seconds).

    \b
    harness results export --study mnist --out results/published/mnist.jsonl
    harness results export --study mnist --out mnist.csv
    harness results export --rows curves --out curves.parquet
    """
    from harness.store.connection import open_reader

    if out.suffix not in _ENDINGS:
        raise HarnessError(f"--out takes a file *.jsonl, *.csv or *.parquet, not '{out}'")
    if out.exists() and db.exists() and out.samefile(db):
        raise HarnessError(f"--out {out} is the store itself")
    with open_reader(db) as store:
        if out.suffix in {".csv", ".parquet"}:
            from harness.store.flat import rows as rows_of
            from harness.store.flat import write_csv, write_parquet

            what = rows or "results"
            write = write_csv if out.suffix == ".csv" else write_parquet
            click.echo(f"{out}: {write(out, what, rows_of(store, what, studies=studies or None))} rows of {what}")
            return
        if rows is not None:
            raise HarnessError("--rows goes with a file *.csv or *.parquet: JSON lines hold all of an attempt")
        _publish(store, studies, out, db, {"maps"} if maps else set())


def _publish(store: "Store", studies: tuple[str, ...], out: Path, db: Path, kinds: "Collection[str]") -> None:
    """Write JSON lines, with artifacts of some kinds beside."""
    from harness.store.artifacts import copy_artifacts
    from harness.store.export import published_lines, write_jsonl

    lines = list(published_lines(store, studies=studies or None))
    count = write_jsonl(lines, out)
    copied = copy_artifacts(lines, db.resolve().parent / "artifacts", out.parent / "artifacts", kinds=kinds)
    click.echo(f"{out}: {count} attempts; {copied} artifacts beside it")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="FILE...")
@db_option
def merge(files: tuple[Path, ...], db: Path) -> None:
    """Take published lines (*.jsonl), or other databases, into the store. Twice is the same as once.

    \b
    harness results merge results/published/mnist.jsonl
    """
    from harness.store.connection import open_store
    from harness.store.lock import driver_lock
    from harness.store.merge import files_of, merge_file

    paths = files_of(files)
    with driver_lock(db), open_store(db) as store:
        for path in paths:
            done = merge_file(store, path)
            click.echo(f"{path}: {done.added} attempts taken in, {done.known} known")
