"""`harness report figures`: figures from what is stored, and the numbers for what the paper reads off its own."""

from pathlib import Path

import click

from harness.cli.common import named_study, sources_option
from harness.cli.completion import studies_and_files


@click.command()
@sources_option
@click.option("--study", metavar="FILE|NAME", help="Only the figures of this study.", shell_complete=studies_and_files)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the figures there; the page beside the folder, under its name (figures.md)  "
    "[default: reports/figures, or with --study reports/figures/STUDY]",
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "pdf"]), default="svg", show_default=True, help="Of the files."
)
@click.option("--numbers", is_flag=True, help="Print the numbers alone, and write nothing.")
def figures(sources: tuple[Path, ...], study: str | None, out: Path | None, form: str, numbers: bool) -> None:
    """Draw figures from stored results; needs neither torch nor data.

    Those of the paper (4, 5, 6). For each study its foremost metric against costs, by placement and against a number of
    the evaluations' condition (PSNR against σ); training time; for denoisers crops, residuals, and PSNR image by image.
    What is not stored is named. The same results give the same bytes.

    \b
    harness report figures --from results/published
    harness report figures --from results/published --study denoise-classical
    harness report figures --from results/published --format pdf --out /tmp/figures
    harness report figures --from results/published --numbers
    """
    from harness.base.files import atomic_write
    from harness.report.figures.make import figure_files
    from harness.report.figures.numbers import read_numbers
    from harness.report.figures.page import figures_markdown, numbers_markdown
    from harness.report.figures.results import Results
    from harness.report.figures.style import NotDrawn, file_name
    from harness.store.merge import open_results

    if numbers and study is not None:
        raise click.UsageError("--numbers are of the paper's figures: leave --study out")
    study = None if study is None else named_study(study)[0]
    with open_results(sources) as store:
        results = Results(store, sources)
        read = read_numbers(results) if study is None else None
        if numbers and read is not None:
            click.echo(numbers_markdown(read).rstrip("\n"))
            return
        files, drawn = figure_files(results, "pdf" if form == "pdf" else "svg", study)
    if out is None:
        out = Path("reports/figures") if study is None else Path("reports/figures") / file_name(study)
    page = out.with_name(f"{out.name}.md")
    for name, content in files.items():
        atomic_write(out / name, content)
        click.echo(out / name)
    atomic_write(page, figures_markdown(drawn, read, f"{out.name}/", form))
    click.echo(page)
    for missing in (each for each in drawn if isinstance(each, NotDrawn)):
        click.echo(f"not drawn: {missing.title}: {missing.why}", err=True)
