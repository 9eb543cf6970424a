"""`harness report html`: one page of everything that is stored."""

from pathlib import Path

import click

from harness.cli.common import sources_option


@click.command()
@sources_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("reports/index.html"),
    show_default=True,
    help="The file to write.",
)
def html(sources: tuple[Path, ...], out: Path) -> None:
    """Write one HTML file that opens without a network: tables, findings, curves, costs, every run.

    Needs neither torch nor data. The same results give the same bytes.

    \b
    harness report html --from results/published
    harness report html --from results/harness.db --out /tmp/report.html
    """
    from harness.base.files import atomic_write
    from harness.report.claims.findings import findings_of, gains
    from harness.report.claims.misprints import load_misprints
    from harness.report.claims.study_claims import study_findings
    from harness.report.figures.results import Results
    from harness.report.html import on_the_page, render_page
    from harness.store.merge import open_results

    with open_results(sources) as store:
        results = Results(store, sources)
        own = study_findings(results.snapshot)
        entries = on_the_page(findings_of(results), load_misprints(), gains(results.snapshot), own)
        page = render_page(results, entries)
    atomic_write(out, page)
    click.echo(f"{out} ({len(page.encode()) / 1e6:.2f} MB)")
