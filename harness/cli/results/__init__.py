"""`harness results`: what is stored, how it leaves and enters the store, and whether it is intact."""

import click

from harness.cli.results.accept import accept
from harness.cli.results.curve import curve
from harness.cli.results.diff import diff
from harness.cli.results.look import list_results, show
from harness.cli.results.move import export, merge
from harness.cli.results.outside import import_runs
from harness.cli.results.query import query
from harness.cli.results.recover import recover
from harness.cli.results.serve import serve
from harness.cli.results.verify import verify


@click.group()
def results() -> None:
    """Look at, compare, export, merge and verify stored results.

    \b
    harness results list --study quickstart
    """


for _command in (list_results, show, diff, curve, query, accept, export, merge, import_runs, recover, verify, serve):
    results.add_command(_command)
