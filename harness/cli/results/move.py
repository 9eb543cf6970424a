"""`harness results export` and `merge`: how results leave a store and enter it."""

from pathlib import Path

import click

from harness.cli.common import db_option


@click.command()
@click.option("--study", "studies", metavar="NAME", multiple=True, help="Only these studies  [default: all]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@db_option
def export(studies: tuple[str, ...], out: Path, db: Path) -> None:
    """Write the attempts that count as JSON lines, with their maps beside, named by SHA-256.

    \b
    harness results export --study mnist --out results/published/mnist.jsonl
    """
    from harness.store.artifacts import copy_artifacts
    from harness.store.connection import open_reader
    from harness.store.export import published_lines, write_jsonl

    with open_reader(db) as store:
        lines = list(published_lines(store, studies=studies or None))
    count = write_jsonl(lines, out)
    copied = copy_artifacts(lines, db.resolve().parent / "artifacts", out.parent / "artifacts", kinds={"maps"})
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
    from harness.store.merge import merge_jsonl, merge_store

    with driver_lock(db), open_store(db) as store:
        for file in files:
            inner = sorted(file.glob("*.jsonl")) if file.is_dir() else [file]
            for path in inner:
                done = merge_jsonl(store, path) if path.suffix == ".jsonl" else merge_store(store, path)
                click.echo(f"{path}: {done.added} attempts taken in, {done.known} known")
