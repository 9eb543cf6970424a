"""`harness doctor`: whether this machine is fit."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import db_option, format_option, print_json

if TYPE_CHECKING:
    from harness.execution.doctor import Finding


@click.command()
@click.option("--device", default="auto", show_default=True,
              help="Where to repeat a trial: auto (on each), cpu, cuda (each GPU) or cuda:N.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the repeated trial  [default: all cores]")
@format_option("text", "json")
@db_option
def doctor(device: str, threads: int | None, fmt: str, db: Path) -> None:
    """Look at this machine and the store; make one trial twice on each device, and compare it bit by bit.

    Versions, devices, data, free disk and kind of file system, locks, memory, clock, the store. Exit code 1 if
    something is not well, with what to do about it.

    \b
    harness doctor
    """
    from harness.data.locations import data_root
    from harness.execution.doctor import SteadyClock, devices_for, facts, repeated
    from harness.execution.options import Options

    devices, steady = devices_for(device), SteadyClock()
    options = Options(db=db, data_root=data_root(), threads=threads)
    findings = facts(options)
    if fmt == "text":
        _print(*findings)
    for each in devices:
        findings.append(repeated(replace(options, device=each)))
        if fmt == "text":
            _print(findings[-1])
    findings.append(steady.finding())
    if fmt == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings[-1])
    if not all(finding.well for finding in findings):
        sys.exit(1)


def _print(*findings: "Finding") -> None:
    for finding in findings:
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what}: {finding.said}")
        if finding.todo is not None:
            click.echo(f"     → {finding.todo}")
