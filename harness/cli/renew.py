"""`harness run renew`: what is stored by code that has changed since is shown to be today's, or made again."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError
from harness.cli.common import db_option, duration, files_argument, load_studies, plugins_option, print_table
from harness.cli.ended import exit_as, say_interrupted

if TYPE_CHECKING:
    from harness.execution.options import Options
    from harness.execution.renew import Run, Stale
    from harness.study.study import Study

_SHOWN = 8  # digits of a digest


@click.command()
@files_argument
@click.option("--dry-run", is_flag=True, help="Print what is stale and what it takes; run nothing.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N; auto takes a GPU if there is one.",
)
@plugins_option
@db_option
def renew(files: tuple[str, ...], dry_run: bool, device: str, db: Path) -> None:
    """Show that stored results of FILEs are what today's code gives, or make them again.

    When code changes, what it made before is stale, even if the new code computes the same. Of all runs by one old
    version the shortest is repeated, on this model of device, with as many threads. If it has the same bits, all of
    them count as today's; if not, all are made again, and so are all runs of functions, whose bits are not known. Runs
    of other models of device stay. If it is interrupted, the same command resumes.

    \b
    harness run renew ablations/mnist.yml --dry-run
    harness run renew ablations/*.yml
    """
    from harness.data.locations import data_root
    from harness.execution.device import choose_device, device_model
    from harness.execution.options import Options
    from harness.execution.register import stored
    from harness.execution.renew import names_of, stale_runs, witnesses

    studies = load_studies(files, (), None, skip_invalid=True)
    options = Options(db=db, data_root=data_root(), device=choose_device(device), retry=frozenset({"stale"}))
    here = device_model(options.device)
    found = stale_runs(studies, stored(db), options.artifacts)
    if not found:
        click.echo("nothing is stale")
        return
    mine = _that_can_run([each for each in found if each.device == here], options)
    _print(found, mine, here)
    if dry_run or not mine:
        return
    asked, repeated = names_of(mine), witnesses(mine)
    _make(mine, repeated, studies, options)
    differing = [each for each in stale_runs(studies, stored(db), options.artifacts) if names_of([each]) & asked]
    if differing:
        left = names_of(differing) & asked
        click.echo(f"not shown by equal bits: {len(left)} more runs are made again")
        _make(differing, left, studies, options)
        repeated |= left
    click.echo(f"{len(asked)} runs were stale: {len(repeated)} made again, {len(asked - repeated)} shown to be today's")


def _that_can_run(stale: "Sequence[Stale]", options: "Options") -> "list[Stale]":
    """Return those whose data are here, and say what the others lack."""
    from harness.execution.register import check_runnable

    able = []
    for each in stale:
        try:
            check_runnable([run.trial for run, _ in each.runs], options.data_root, options.device)
        except HarnessError as error:
            click.echo(f"{each.study}: left as it is: {error}", err=True)
        else:
            able.append(each)
    return able


def _print(stale: "Sequence[Stale]", mine: "Sequence[Stale]", here: str) -> None:
    """Print what is stale, and what it takes to show that it is today's, or to make it again."""
    from harness.execution.renew import names_of, run_of, witnesses

    print_table(
        ["study", "code", "now", "stale", "one takes", "all take", "device"],
        [
            [
                each.study,
                each.old[:_SHOWN],
                each.new[:_SHOWN],
                len(each.runs),
                *map(duration, each.seconds),
                each.device,
            ]
            for each in stale
        ],
    )
    first = witnesses(mine)
    one = sum(attempt.seconds or 0.0 for each in mine for run, attempt in each.runs if run_of(run) in first)
    stay = len(names_of(stale)) - len(names_of(mine))
    click.echo(
        f"\n{len(names_of(mine))} stale runs can be made on {here}: {len(first)} to repeat first, {duration(one)};"
        f" if all of them differ, {duration(sum(each.seconds[1] for each in mine))} in all; {stay} stay as they are"
    )


def _make(stale: "Sequence[Stale]", runs: "frozenset[Run]", studies: "Sequence[Study]", options: "Options") -> None:
    """Make runs again, with as many threads as they had; exit if that is interrupted or fails."""
    from harness.cli.display import display
    from harness.execution.driver import run_grid
    from harness.execution.renew import run_of

    by_threads = defaultdict(set)
    for each in stale:
        for run, attempt in each.runs:
            if run_of(run) in runs:
                by_threads[attempt.threads].add((each.study, run_of(run)))
    for threads, named in sorted(by_threads.items()):
        meant = [study for study in studies if study.name in {name for name, _ in named}]
        only = frozenset(run for _, run in named)
        with display() as shown:
            summary = run_grid(meant, replace(options, threads=threads, only=only), shown)
        say_interrupted(summary)
        exit_as(summary)
