"""`harness results recover`: results that lie beside the store, and that it does not know."""

import sys
from pathlib import Path

import click

from harness.cli.common import db_option


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be taken in.")
@db_option
def recover(dry_run: bool, db: Path) -> None:
    """Take finished results into the store that lie in the folder of artifacts beside it and that it does not know.

    So it is after the database was lost or replaced by an older copy. `harness run grid FILE` then puts their trials
    into their studies again, and runs only what is left. Exit code 1 if a result could not be taken in.

    \b
    harness results recover --dry-run
    harness results recover --db results/harness.db
    """
    from harness.execution.recover import recover_unknown, unknown_results
    from harness.execution.register import stored
    from harness.store.connection import open_store
    from harness.store.lock import driver_lock

    artifacts = db.resolve().parent / "artifacts"
    unknown = unknown_results(artifacts, {a.uid for a in stored(db).attempts})
    if dry_run or not unknown:
        for each in unknown:
            click.echo(f"{each.request.uid[:8]}  {each.request.label}")
        click.echo(f"{artifacts}: {len(unknown)} results that {db} does not know")
        return
    refused = 0
    with driver_lock(db), open_store(db) as store:
        for each in unknown:
            reason = recover_unknown(store, each)
            refused += reason is not None
            said = "taken in" if reason is None else f"cannot be taken in: {reason}"
            click.echo(f"{each.request.uid[:8]}  {each.request.label}: {said}", err=reason is not None)
    click.echo(f"{len(unknown) - refused} results taken in; `harness run grid FILE` puts them into their study")
    sys.exit(1 if refused else 0)
