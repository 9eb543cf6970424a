"""What a command says and exits with when its runs have ended."""

import sys
from typing import TYPE_CHECKING

import click

from harness.cli.common import INTERRUPTED

if TYPE_CHECKING:
    from harness.execution.options import Summary


def say_interrupted(summary: "Summary", so: str = "the same command resumes from the checkpoints") -> None:
    """Say what came of a Ctrl-C, if there was one."""
    if summary.interrupted:
        click.echo(f"interrupted: what was done is kept, {so}", err=True)
    elif summary.stopped_late:
        click.echo("everything that was asked for finished before the stop took effect", err=True)


def exit_as(summary: "Summary") -> None:
    """End with the exit code of a call that was interrupted, or whose runs failed; return if it went well."""
    if summary.hindrance is not None:
        click.echo(summary.hindrance, err=True)
    if summary.interrupted:
        sys.exit(INTERRUPTED)
    if summary.failed:
        sys.exit(1)
