"""`harness results export` and `merge`: how results leave a store and enter it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from harness.base.errors import HarnessError
from harness.cli.common import db_option, sources_option
from harness.cli.completion import studies as stored_studies

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from harness.store.connection import Store
    from harness.store.flat import Rows
    from harness.store.made_twice import MadeTwice

_ENDINGS = frozenset({".jsonl", ".csv", ".parquet"})
_NAMED = 5  # runs that two machines have made, with other bits


@click.command()
@click.option("--study", "studies", metavar="NAME", multiple=True, help="Only these studies  [default: all]",
              shell_complete=stored_studies)  # fmt: skip
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write: *.jsonl, *.csv or *.parquet.",
)
@click.option(
    "--rows",
    type=click.Choice(["results", "tidy", "runs", "items", "curves", "measures"]),
    help="What a row of CSV or Parquet is  [default: results]",
)
@click.option("--maps/--no-maps", default=True, show_default=True,
              help="Write kept maps and pictures too, which hold a few images of the test set.")  # fmt: skip
@click.option("--weights", is_flag=True, help="Write the trained weights too.")
@click.option("--with-source", is_flag=True,
              help="Publish uncommitted changes of the study's repository, and all that was installed.")  # fmt: skip
@sources_option
def export(
    studies: tuple[str, ...],
    out: Path,
    rows: "Rows | Literal['tidy'] | None",
    maps: bool,
    weights: bool,
    with_source: bool,
    sources: tuple[Path, ...],
) -> None:
    """Write the attempts that count: as JSON lines to be published, or as rows of CSV or Parquet for other programs.

    JSON lines hold all of an attempt, and can be merged again; its maps, and with --weights its weights, are written
    beside, named by SHA-256. Files that a function saved are not: `harness results merge` copies them. CSV and
    Parquet hold one table: results (a row per metric of a run), tidy (a row per run; settings, metrics, costs and
    seconds are columns), runs, items (a row per image), curves (a row per point) or measures (seconds).

    \b
    harness results export --study mnist --out results/published/mnist.jsonl
    harness results export --study mnist --out mnist/mnist.jsonl --weights
    harness results export --study mnist --out mnist.csv
    harness results export --study mnist --rows tidy --out runs.csv
    harness results export --rows curves --out curves.parquet
    harness results export --study denoise --rows items --out images.csv
    harness results export --from results/published --out all.csv
    """
    from harness.store.export import published_lines
    from harness.store.merge import files_of, open_results

    if out.suffix not in _ENDINGS:
        raise HarnessError(f"--out takes a file *.jsonl, *.csv or *.parquet, not '{out}'")
    if with_source and out.suffix != ".jsonl":
        raise HarnessError("--with-source goes with a file *.jsonl: a row of CSV or Parquet holds no source")
    if weights and out.suffix != ".jsonl":
        raise HarnessError("--weights goes with a file *.jsonl, beside which they are written")
    if out.exists() and any(out.samefile(file) for file in files_of(sources)):
        raise HarnessError(f"--out {out} is what is to be read")
    with open_results(sources) as store:
        if out.suffix in {".csv", ".parquet"}:
            count = _write_rows(store, out, rows or "results", studies)
            click.echo(f"{out}: {count} rows of {rows or 'results'}")
            return
        if rows is not None:
            raise HarnessError("--rows goes with a file *.csv or *.parquet: JSON lines hold all of an attempt")
        lines = published_lines(store, studies=studies or None, with_source=with_source)
        _publish(lines, out, sources, {kind for kind, wanted in (("maps", maps), ("weights", weights)) if wanted})


def _write_rows(store: "Store", out: Path, what: "Rows | Literal['tidy']", studies: tuple[str, ...]) -> int:
    """Write a table as CSV or Parquet. Return how many rows it has."""
    from harness.store.flat import COLUMNS, write_csv, write_parquet
    from harness.store.flat import rows as rows_of
    from harness.trial.overrides import protocol_in_words

    columns: Mapping[str, type]
    table: Iterator[tuple[Any, ...]]
    if what == "tidy":
        from harness.report.tidy import tidy
        from harness.store.queries import snapshot

        found = tidy(snapshot(store), studies or None)
        columns, table = found.columns, found.table()
    else:
        columns = COLUMNS[what]
        table = rows_of(store, what, studies=studies or None, protocol_in_words=protocol_in_words)
    return (write_csv if out.suffix == ".csv" else write_parquet)(out, columns, table)


def _publish(lines: "Iterable[str]", out: Path, sources: "Sequence[Path]", kinds: "Collection[str]") -> None:
    """Write JSON lines, with artifacts of some kinds beside."""
    from harness.store.artifacts import publish_artifacts
    from harness.store.export import write_jsonl

    count = write_jsonl(lines, out)
    with out.open("rb") as written:
        files = publish_artifacts(written, sources, out.parent / "artifacts", kinds=kinds)
    without = "" if "maps" in kinds else " (--no-maps)"
    click.echo(f"{out}: {count} attempts; {files.beside} artifacts beside it{without}")
    if missing := files.missing["weights"]:
        click.echo(f"not exported, as they are not here: the weights of {missing} attempts", err=True)
    if others := [f"{count} {kind}" for kind, count in sorted(files.left_out.items()) if count and kind != "maps"]:
        how = "--weights exports weights; " if files.left_out["weights"] else ""
        words = f"not exported: {', '.join(others)}; they stay where they are"
        click.echo(f"{words}; {how}`harness results merge` copies all from store to store", err=True)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="FILE...")
@click.option("--artifacts/--no-artifacts", default=True, show_default=True,
              help="Copy the files too that attempts left: maps, weights.")  # fmt: skip
@db_option
def merge(files: tuple[Path, ...], artifacts: bool, db: Path) -> None:
    """Take the attempts that count of published lines (*.jsonl), or of other databases, into the store.

    A file is taken in whole or not at all, and a new store is made only if all of them can be. Merging is
    idempotent. What failed, was interrupted or superseded stays where it was made. Files of attempts that are next to
    what is merged are copied next to the store. Of a run that two machines have made both attempts are kept, and it is
    said whether they have the same bits.

    \b
    harness results merge results/published/mnist.jsonl
    harness results merge a.db b.db --db all.db --no-artifacts
    """
    from harness.store.artifacts import take_artifacts
    from harness.store.connection import driver_lock, open_store, to_write_or_make
    from harness.store.made_twice import made_twice
    from harness.store.merge import files_of, merge_file

    paths = files_of(files)
    with to_write_or_make(db) as store:
        taken = {path: merge_file(store, path) for path in paths}
    with driver_lock(db), open_store(db) as store:
        for path, done in taken.items():
            copied = take_artifacts(store, path, db.resolve().parent / "artifacts") if artifacts else 0
            files_too = f"; {copied} files of theirs copied" if copied else ""
            click.echo(f"{path}: {done.added} attempts taken in, {done.known} known{files_too}")
        twice = made_twice(store)
    print_made_twice(twice, len(twice))


def print_made_twice(twice: "Sequence[MadeTwice]", count: int) -> None:
    """Say how many attempts at runs that others made too have the same bits, and in what the first ones differ."""
    if not count:
        return
    differing = [each for each in twice if each.differing]
    equal = len(twice) - len(differing)
    attempts = "1 attempt repeats" if count == 1 else f"{count} attempts repeat"
    click.echo(f"     {attempts} a run that another one made: {equal} with equal bits")
    for each in differing[:_NAMED]:
        click.echo(f"     {each.words}")
    if len(differing) > _NAMED:
        click.echo(f"     and {len(differing) - _NAMED} more; `harness results verify --format json` names all")
