"""`harness report datasets`: methods compared over many data sets."""

from pathlib import Path

import click

from harness.cli.common import named_study, sources_option
from harness.cli.completion import studies_and_files


@click.command()
@click.argument("study", metavar="FILE|NAME", shell_complete=studies_and_files)
@click.option("--metric", help="The metric, with its condition if there are several.  [default: the primary one]")
@click.option("--by", metavar="PATH", help="The setting that is the data set.  [default: dataset, arguments.dataset]")
@click.option(
    "--methods", metavar="PATH", multiple=True, help="A setting that makes a method.  [default: all that differ]"
)
@click.option(
    "--against", metavar="METHOD", help="Compare with this one alone.  [default: that of the study's baseline]"
)
@click.option(
    "--rope", type=click.FloatRange(min=0), default=0.0, metavar="SIZE",
    help="Differences up to this count as none, in the metric's unit.",
)  # fmt: skip
@click.option(
    "--overlap", type=click.FloatRange(min=0, max=1, max_open=True), default=0.0, metavar="SHARE",
    help="The share that each seed tests on, if seeds split the same data: 0.1 of ten folds. For JSON's by_dataset.",
)  # fmt: skip
@sources_option
@click.option(
    "--format", "fmt", type=click.Choice(["md", "latex", "csv", "json"]), default="md", show_default=True,
    help="How to print it.",
)  # fmt: skip
@click.option("--bare", is_flag=True, help="The tables alone, without notes.")
def datasets(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    study: str,
    metric: str | None,
    by: str | None,
    methods: tuple[str, ...],
    against: str | None,
    rope: float,
    overlap: float,
    sources: tuple[Path, ...],
    fmt: str,
    bare: bool,
) -> None:
    """Compare methods over many data sets, each of which counts once.

    A study's seeds are averaged first. Which of two methods is better say Wilcoxon's signed ranks over the data sets,
    exact, after Holm's correction; "too few" if no outcome could. Beside that are mean ranks, Friedman's test and
    Nemenyi's critical difference, the interquartile mean and the probability that a run of one method beats one of
    another (intervals over seeds), and the Bayesian signed-rank test. JSON has all of it, and performance profiles.

    \b
    harness report datasets classifiers.yml
    harness report datasets classifiers.yml --against tree --rope 0.01
    harness report datasets classifiers --by arguments.corpus --format latex
    """
    from dataclasses import replace

    from harness.report import render
    from harness.report.datasets.comparison import compare
    from harness.report.datasets.document import datasets_document, datasets_json
    from harness.report.datasets.scores import read_scores
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    name, spec_sha = named_study(study)
    with open_results(sources) as store:
        scores = read_scores(snapshot(store), name, by=by, methods=methods, metric=metric, spec_sha=spec_sha)
    found = compare(scores, against, rope=rope, overlap=overlap)
    if fmt == "json":
        click.echo(datasets_json(found).rstrip("\n"))
        return
    document = datasets_document(found)
    document = document.bare if bare else document
    click.echo(render(replace(document, statistics=()) if fmt == "csv" else document, fmt).rstrip("\n"))
