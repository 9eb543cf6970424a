"""`harness results accept`: an edit that changes nothing, by a person's word."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError
from harness.cli.common import db_option, load_studies, only_option, plugins_option, set_option, skip_option
from harness.cli.completion import study_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.store.records import AcceptanceRecord, Snapshot
    from harness.study.study import Study


@click.command()
@click.argument("file", metavar="STUDY", shell_complete=study_files)
@click.option("--author", required=True, envvar="HARNESS_AUTHOR", show_envvar=True, help="Who says so.")
@click.option("--reason", required=True, help="Why the edit changes no number.")
@click.option("--dry-run", is_flag=True, help="Print what would be accepted; store nothing.")
@only_option
@set_option
@skip_option
@plugins_option
@db_option
def accept(
    file: str,
    author: str,
    reason: str,
    dry_run: bool,
    only: str | None,
    overrides: tuple[str, ...],
    skip_invalid: bool,
    db: Path,
) -> None:
    """Accept that an edit of code or inputs changes no number: results before it count for the trials of STUDY now.

    For each trial of STUDY without runs, the stored trial is taken that differs from it by code and inputs alone. Its
    results keep their key, and whatever shows them says who accepted the edit, when, and why. A trial that differs in
    anything else, an argument or a protocol, is never taken.

    \b
    harness results accept own.yml --reason "renamed a variable" --author "A. Author"
    """
    from harness.execution.register import add_studies, stored
    from harness.store.connection import driver_lock, open_store
    from harness.store.writer import accept_edits

    said = [_checked("author", author), _checked("reason", reason)]
    (study,) = load_studies([file], overrides, only, skip_invalid=skip_invalid)
    words = _words(study, stored(db), *said)
    if not words:
        raise HarnessError(
            f"nothing to accept: no stored run differs from a trial of {file} that has none by code and inputs alone"
        )
    if dry_run:
        return
    with driver_lock(db), open_store(db) as store:
        add_studies(store, [study])
        accept_edits(store, words)


def _words(study: "Study", found: "Snapshot", author: str, reason: str) -> "Sequence[AcceptanceRecord]":
    """Return what there is to accept, and say it."""
    from harness.base.clock import now
    from harness.store.acceptance import acceptable
    from harness.store.records import AcceptanceRecord

    words, when = [], now()
    for item in study.chosen:
        key = item.trial.key
        old = acceptable(found, key, item.trial.config, item.seeds)
        if old is not None:
            seeds = f"seed{'s' if len(old.seeds) > 1 else ''} {', '.join(map(str, old.seeds))}"
            click.echo(f"{study.name}: {item.name}, {seeds}: results of {old.old_key[:12]} count for {key[:12]}")
            words.append(AcceptanceRecord(key, old.old_key, author, reason, when))
    return words


def _checked(name: str, text: str) -> str:
    """Return what a person says, without spaces around it. Raises HarnessError if it is not a line that can be read."""
    from harness.store.acceptance import LONGEST, said_fault

    if (fault := said_fault(name, text)) is not None:
        wanted = f"one line of 1 to {LONGEST[name]} characters that can be printed"
        raise HarnessError(f"--{name} {fault}: it takes {wanted}")
    return text.strip()
