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
    """Write one HTML file that opens without a network: findings, tables, curves, costs, every run.

    The paper's part is left out if no trial of the paper is stored. Needs neither torch nor data. The same results give
    the same bytes.

    \b
    harness report html --from results/published
    harness report html --study own.yml --out own.html
    """
    from harness.base.files import atomic_write
    from harness.report.claims.findings import findings_of, gains
    from harness.report.claims.misprints import load_misprints
    from harness.report.claims.study_claims import study_findings
    from harness.report.figures.results import Results
    from harness.report.html import holds_paper, on_the_page, render_page
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    with open_results(sources) as store:
        found = snapshot(store)
        results = Results(store, sources, found if study is None else found.only(named_study(study)[0]))
        own = study_findings(results.snapshot)
        if holds_paper(results):
            entries = on_the_page(findings_of(results), load_misprints(), gains(results.snapshot), own)
        else:
            entries = on_the_page([], [], of_studies=own)
        page = render_page(results, entries)
    atomic_write(out, page)
    click.echo(f"{out} ({len(page.encode()) / 1e6:.2f} MB)")
