"""`harness run status`, `logs`, `stop`, `skip` and `retry`: the drivers at work on a store, seen from another shell.

All of it goes through the files of `results/drivers/` (`harness.execution.drivers`): a command here asks, and the
driver heeds it between two steps.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from harness.base.errors import HarnessError
from harness.cli.common import db_option, format_option, print_json, print_table
from harness.cli.completion import runs as stored_runs

if TYPE_CHECKING:
    from harness.execution.drivers import DriverInfo

_SHOWN = 8  # digits of a driver's name
_POLL_S = 0.1

driver_argument = click.argument("driver", required=False, metavar="[DRIVER]")
runs_argument = click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=stored_runs)


@click.command()
@click.option("--all", "everyone", is_flag=True, help="Also drivers that have ended, as long as their logs are kept.")
@format_option("text", "json")
@db_option
def status(everyone: bool, fmt: str, db: Path) -> None:
    """Show the drivers at work on a store, and how far their runs are.

    \b
    harness run status
    harness run status --format json
    """
    from harness.execution.drivers import status_of
    from harness.execution.lines import progress_words

    found = [status_of(driver, _artifacts(db)) for driver in _drivers(db) if everyone or driver.lives]
    if fmt == "json":
        print_json(found)
        return
    if not found:
        click.echo("no driver is at work here")
        return
    print_table(
        ["driver", "process", "host", "since", "studies", "ended", "of", "state"],
        [
            [d["driver"][:_SHOWN], d["pid"], d["host"], d["started"][:19], ", ".join(d["studies"]), _ended(d["ended"]),
             d["expected"], _state(d)]
            for d in found
        ],
    )  # fmt: skip
    for run in (run for driver in found for run in driver["running"]):
        progress = run["progress"]
        click.echo(f"{run['label']}: {'no progress yet' if progress is None else progress_words(progress)}")


@click.command()
@driver_argument
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the driver ends.")
@click.option("--lines", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many of the last.")
@format_option("text", "json")
@db_option
def logs(driver: str | None, follow: bool, lines: int, fmt: str, db: Path) -> None:
    """Print what a detached driver has printed, by default the latest one.

    \b
    harness run logs
    harness run logs 1a2b3c4d --follow
    """
    with_log = [each for each in _drivers(db) if each.log.exists()]
    chosen = _chosen(with_log, driver, "has a log: only those started with --detach have")
    printed = chosen[-1].log.read_bytes()
    shown = printed.decode(errors="replace").splitlines()[-lines:]
    if fmt == "json":
        print_json({"driver": chosen[-1].uid, "log": str(chosen[-1].log), "lines": shown})
        return
    click.echo("\n".join(shown))
    at = len(printed)
    while follow and (chosen[-1].lives or chosen[-1].log.stat().st_size > at):
        with chosen[-1].log.open("rb") as file:
            file.seek(at)
            new = file.read()
        at += len(new)
        click.echo(new.decode(errors="replace"), nl=False)
        time.sleep(_POLL_S)


@click.command()
@driver_argument
@click.option("--all", "everyone", is_flag=True, help="All drivers of the store.")
@click.option("--now", is_flag=True, help="At once: runs resume at their last checkpoint.")
@click.option("--wait", is_flag=True, help="Return when they have ended.")
@format_option("text", "json")
@db_option
def stop(driver: str | None, everyone: bool, now: bool, wait: bool, fmt: str, db: Path) -> None:
    """End a driver's runs at checkpoints, as Ctrl-C does; what nobody has begun stays to be done.

    \b
    harness run stop
    harness run stop 1a2b3c4d --now
    """
    living = _living(db)
    chosen = living if everyone and driver is None else _one(living, driver)
    for each in chosen:
        each.ask_to_stop(now=now)
    while wait and any(each.lives for each in chosen):
        time.sleep(_POLL_S)
    _say(fmt, [{"driver": each.uid, "pid": each.pid, "asked": "stop now" if now else "stop"} for each in chosen])


@click.command()
@runs_argument
@format_option("text", "json")
@db_option
def skip(runs: tuple[str, ...], fmt: str, db: Path) -> None:
    """Leave out runs in the calls that are at work, STUDY:TRIAL:SEED or a pattern: one that runs ends at a checkpoint.

    The next call makes them.

    \b
    harness run skip mnist:Baseline:1
    harness run skip 'mnist:*top-k*:*'
    """
    _ask("skip", runs, fmt, db)


@click.command()
@runs_argument
@format_option("text", "json")
@db_option
def retry(runs: tuple[str, ...], fmt: str, db: Path) -> None:
    """Make runs again that failed or are held, STUDY:TRIAL:SEED or a pattern, in a call that is at work.

    Without one, `harness run grid FILE --retry REASONS` does.

    \b
    harness run retry 'mnist:*top-k*:*'
    """
    _ask("retry", runs, fmt, db)


COMMANDS = (status, logs, stop, skip, retry)


def _ask(what: Literal["skip", "retry"], runs: Sequence[str], fmt: str, db: Path) -> None:
    living = _living(db)
    for driver in living:
        driver.ask(*((what, run) for run in runs))
    _say(fmt, [{"driver": each.uid, "pid": each.pid, "asked": f"{what} {run}"} for each in living for run in runs])


def _say(fmt: str, asked: list[dict[str, Any]]) -> None:
    if fmt == "json":
        print_json(asked)
        return
    for each in asked:
        click.echo(f"asked driver {each['driver'][:_SHOWN]} (process {each['pid']}): {each['asked']}")


def _drivers(db: Path) -> "list[DriverInfo]":
    from harness.execution.drivers import drivers

    return drivers(db.resolve().parent)


def _artifacts(db: Path) -> Path:
    return db.resolve().parent / "artifacts"


def _living(db: Path) -> "list[DriverInfo]":
    found = [driver for driver in _drivers(db) if driver.lives]
    if not found:
        raise HarnessError(f"no driver is at work on {db}")
    return found


def _chosen(found: "list[DriverInfo]", name: str | None, lacks: str) -> "list[DriverInfo]":
    matching = [driver for driver in found if name is None or driver.uid.startswith(name)]
    if not matching:
        raise HarnessError(f"no driver {lacks}" if name is None else f"no driver '{name}' {lacks}")
    return matching


def _one(living: "list[DriverInfo]", name: str | None) -> "list[DriverInfo]":
    matching = _chosen(living, name, "is at work")
    if len(matching) > 1:
        names = ", ".join(driver.uid[:_SHOWN] for driver in matching)
        raise HarnessError(f"{len(matching)} drivers are at work ({names}): name one, or give --all")
    return matching


def _ended(ended: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(ended.items())) or "0"


def _state(driver: dict[str, Any]) -> str:
    if not driver["lives"]:
        return "ended"
    return "at work" if driver["silent_s"] < 30 else f"silent for {driver['silent_s']:.0f} s"


def detach(db: Path, fmt: str) -> None:
    """Start the same command again as a driver of its own, which outlives this shell, and say how to look at it."""
    from harness.execution.drivers import FOLDER

    folder = db.resolve().parent / FOLDER / uuid.uuid4().hex
    folder.mkdir(parents=True)
    arguments = [word for word in sys.argv[1:] if word != "--detach"]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this very command
            [sys.executable, "-P", "-m", "harness", *arguments],  # -P: never what the current folder has
            env={**os.environ, "HARNESS_DRIVER": folder.name, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while process.poll() is None and not (folder / "driver.json").exists():
        time.sleep(_POLL_S)
    if process.poll():
        said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise HarnessError(f"it ended at once: {(said or ['it said nothing'])[-1].removeprefix('Error: ')}")
    facts = {"driver": folder.name, "pid": process.pid, "log": str(folder / "log.txt")}
    if fmt == "json":
        print_json(facts)
        return
    name = folder.name[:_SHOWN]
    click.echo(
        f"driver {name} (process {process.pid}) has started; `harness run logs {name} --follow` shows what it says"
    )
