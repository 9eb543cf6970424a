"""`harness report log`: what was run, where, when and for how long."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import sources_option

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.option("--study", "studies", metavar="NAME", multiple=True, help="Only this study. May be given several times.")
@sources_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write this file instead of printing.")
def log(studies: tuple[str, ...], sources: tuple[Path, ...], out: Path | None) -> None:
    """Print what was run, as Markdown: studies, commands, machines, hours and days.

    \b
    harness report log
    harness report log --from results/published --out docs/results-log.md
    """
    from harness.base.files import atomic_write
    from harness.report.run_log import log_markdown, run_log
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    with open_results(sources) as store:
        found = snapshot(store)
    names = {place.study for place in found.places(studies or None)}
    text = log_markdown([entry for entry in run_log(found) if entry.study in names], _words(sources))
    if out is None:
        click.echo(text.rstrip("\n"))
    else:
        atomic_write(out, text)
        click.echo(out)


def _words(sources: "Sequence[Path]") -> str:
    return " ".join(map(str, sources))
