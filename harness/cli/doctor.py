"""`harness doctor`: whether this machine is fit."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.common import db_option, format_option, print_json


@click.command()
@click.option("--device", default="auto", show_default=True, help="Where to repeat a trial: auto, cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the repeated trial  [default: all cores]")
@format_option("text", "json")
@db_option
def doctor(device: str, threads: int | None, fmt: str, db: Path) -> None:
    """Look at versions, devices, data and store; make one trial twice and compare it bit by bit.

    Exit code 1 where something is not well.

    \b
    harness doctor
    """
    from harness.data.locations import data_root
    from harness.execution.device import choose_device
    from harness.execution.doctor import facts, repeated
    from harness.execution.options import Options

    options = Options(db=db, data_root=data_root(), device=choose_device(device), threads=threads)
    findings = [*facts(options), repeated(options)]
    if fmt == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what}: {finding.said}")
    if not all(finding.well for finding in findings):
        sys.exit(1)
