"""`harness report figures`: figures from what is stored, and the numbers for what the paper reads off its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.base.errors import HarnessError
from harness.cli.common import named_study, sources_option
from harness.cli.completion import studies_and_files

if TYPE_CHECKING:
    from harness.report.figures.style import Format

_KINDS = ["curves", "heatmap", "intervals", "pareto", "parallel", "importance"]


@click.command()
@sources_option
@click.option("--study", metavar="FILE|NAME", help="Only the figures of this study.", shell_complete=studies_and_files)
@click.option("--kind", "kinds", type=click.Choice(_KINDS), multiple=True, help="Only these plots of the study.")
@click.option("--metric", metavar="NAME", help="Of --kind  [default: the study's primary one]")
@click.option("--by", metavar="FIELD", help="Of curves and intervals: one line for each value of it  [default: trial]")
@click.option("-x", "x", metavar="FIELD", help="Of heatmap, across  [default: a setting in which runs differ]")
@click.option("-y", "y", metavar="FIELD", help="Of heatmap, down  [default: the next one]")
@click.option("--cost", metavar="COLUMN", help="Of pareto  [default: parameters, MACs or seconds]")
@click.option("--against", metavar="TRIAL", help="Of intervals: differences to this trial, by seed.")
@click.option("--split", metavar="NAME", help="Of curves  [default: one that was not trained on]")
@click.option("--band", type=click.Choice(["quartiles", "range", "none"]), help="Of curves.")
@click.option("--field", "fields", metavar="FIELD", multiple=True, help="Of parallel and importance  [default: all]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the figures there; without --kind the page beside the folder, under its name (figures.md)  "
    "[default: reports/figures, or with --study reports/figures/STUDY]",
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "pdf", "png"]), default="svg", show_default=True, help="Of the files."
)
@click.option("--numbers", is_flag=True, help="Print the numbers alone, and write nothing.")
def figures(
    sources: tuple[Path, ...],
    study: str | None,
    kinds: tuple[str, ...],
    fields: tuple[str, ...],
    out: Path | None,
    form: "Format",
    numbers: bool,
    **options: str | None,
) -> None:
    """Draw figures from stored results; needs neither torch nor data.

    Those of the paper (4, 5, 6). For each study its primary metric against costs, by placement and against a number of
    the evaluations' condition (PSNR against σ); training time; for denoisers crops, residuals, and PSNR image by image.
    With --study also plots of any study: --kind draws some of them alone. What is not stored is named. The same results
    give the same bytes.

    \b
    harness report figures --from results/published
    harness report figures --from results/published --study denoise-classical
    harness report figures --study mine --kind curves --by rate --format pdf
    harness report figures --study mine --kind intervals --against baseline --kind heatmap -x rate -y width
    harness report figures --from results/published --numbers
    """
    from harness.base.files import atomic_write
    from harness.report.figures.make import figure_files, kind_files
    from harness.report.figures.numbers import read_numbers
    from harness.report.figures.page import figures_markdown, numbers_markdown
    from harness.report.figures.results import Results
    from harness.report.figures.style import NotDrawn, file_name
    from harness.store.merge import open_results

    if numbers and study is not None:
        raise click.UsageError("--numbers are of the paper's figures: leave --study out")
    chosen = _chosen(study, kinds, {**options, "fields": fields or None})
    study = None if study is None else named_study(study)[0]
    with open_results(sources) as store:
        results = Results(store, sources)
        read = read_numbers(results) if study is None else None
        if numbers and read is not None:
            click.echo(numbers_markdown(read).rstrip("\n"))
            return
        if kinds and study is not None:
            files, drawn = kind_files(results, form, study, kinds, chosen)
        else:
            files, drawn = figure_files(results, form, study)
    if out is None:
        out = Path("reports/figures") if study is None else Path("reports/figures") / file_name(study)
    for name, content in files.items():
        atomic_write(out / name, content)
        click.echo(out / name)
    if not kinds:
        page = out.with_name(f"{out.name}.md")
        atomic_write(page, figures_markdown(drawn, read, f"{out.name}/", form))
        click.echo(page)
    for missing in (each for each in drawn if isinstance(each, NotDrawn)):
        click.echo(f"not drawn: {missing.title}: {missing.why}", err=True)


def _chosen(study: str | None, kinds: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are given. Raises HarnessError for those that go with no kind that is."""
    given = {name: value for name, value in options.items() if value is not None}
    if kinds and study is None:
        raise HarnessError("--kind draws a study: name it with --study")
    if given and not kinds:
        raise HarnessError(f"{_option(next(iter(given)))} goes with --kind")
    return given


def _option(name: str) -> str:
    return {"x": "-x", "y": "-y", "fields": "--field"}.get(name, f"--{name}")
