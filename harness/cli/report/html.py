"""`harness report html`: one page of everything that is stored."""

from pathlib import Path

import click

from harness.cli.common import named_study, sources_option
from harness.cli.completion import studies_and_files


@click.command()
@click.option("--study", metavar="FILE|NAME", help="A page about this study alone.", shell_complete=studies_and_files)
@sources_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("reports/index.html"),
    show_default=True,
    help="The file to write.",
)
def html(study: str | None, sources: tuple[Path, ...], out: Path) -> None:
    """Write one HTML file that opens without a network: what was found, tables, findings, curves, costs, every run.

    The paper's part is left out if no trial of the paper is stored. Needs neither torch nor data. The same results give
    the same bytes.

    \b
    harness report html --from results/published
    harness report html --study own.yml --out own.html
    """
    from harness.base.files import atomic_write
    from harness.report.figures.results import Results
    from harness.report.html import render_page
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    with open_results(sources) as store:
        found = snapshot(store)
        results = Results(store, sources, found if study is None else found.only(named_study(study)[0]))
        page = render_page(results)
    atomic_write(out, page)
    click.echo(f"{out} ({len(page.encode()) / 1e6:.2f} MB)")
