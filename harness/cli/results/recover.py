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
    from harness.execution.intake import Unknown, recover_unknown, unknown_results
    from harness.execution.register import stored
    from harness.store.connection import driver_lock, open_store

    refused = 0

    def refuse(each: Unknown, reason: str) -> None:
        nonlocal refused
        refused += 1
        words = f"{each.request.uid[:8]}  {each.request.label}: cannot be taken in: {reason} (in {each.folder})"
        click.echo(words, err=True)

    artifacts = db.resolve().parent / "artifacts"
    unknown = unknown_results(artifacts, {a.uid for a in stored(db).attempts})
    for each in unknown:
        if each.fault is not None:
            refuse(each, each.fault)
    good = [each for each in unknown if each.fault is None]
    if dry_run or not good:
        for each in good:
            click.echo(f"{each.request.uid[:8]}  {each.request.label}")
        click.echo(f"{artifacts}: {len(good)} results that {db} does not know")
    else:
        with driver_lock(db), open_store(db) as store:
            for each in good:
                reason = recover_unknown(store, each)
                if reason is None:
                    click.echo(f"{each.request.uid[:8]}  {each.request.label}: taken in")
                else:
                    refuse(each, reason)
        taken = len(unknown) - refused
        click.echo(f"{taken} results taken in; `harness run grid FILE` puts them into their study")
    if refused:
        click.echo("`harness run grid FILE` makes again what cannot be taken in, if it is not done", err=True)
        sys.exit(1)
