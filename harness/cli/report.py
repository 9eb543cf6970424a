"""`harness report`: tables from what is stored, beside the paper's values where there are any."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import DEFAULT_DB
from harness.spec.errors import HarnessError

if TYPE_CHECKING:
    from harness.report import Document
    from harness.store.records import Snapshot

_ENDINGS = {"md": "md", "latex": "tex", "csv": "csv", "json": "json"}


@click.group()
def report() -> None:
    """Make tables from stored results."""


@report.command()
@click.option("--table", "number", metavar="N|all", help="A table of the paper, or all that are entered.")
@click.option("--study", metavar="FILE|NAME", help="Any study's own table.")
@click.option("--file", "table_file", type=click.Path(path_type=Path), help="A table file of your own.")
@click.option(
    "--format", "formats", type=click.Choice(list(_ENDINGS)), multiple=True, help="md (default), latex, csv, json."
)
@click.option("--select", type=click.Choice(["best", "mean", "median"]), help="Instead of the table's own selection.")
@click.option(
    "--from",
    "sources",
    type=click.Path(path_type=Path),
    multiple=True,
    envvar="HARNESS_DB",
    default=[DEFAULT_DB],
    show_default=True,
    help="A database, or published files (*.jsonl), or folders of them.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write files there instead of printing.")
def tables(
    number: str | None,
    study: str | None,
    table_file: Path | None,
    formats: tuple[str, ...],
    select: str | None,
    sources: tuple[Path, ...],
    out: Path | None,
) -> None:
    """Print tables from stored results; needs neither torch nor data.

    \b
    harness report tables --table 1 --from results/published/mnist.jsonl
    harness report tables --study ablations/quickstart.yml
    harness report tables --table all --from results/published --out reports --format md --format latex --format csv
    """
    if sum(asked is not None for asked in (number, study, table_file)) != 1:
        raise HarnessError("name one of --table N, --table all, --study FILE, --file TABLE.yml")
    from harness.report import render
    from harness.spec.files import atomic_write
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    documents = _documents(number, study, table_file)
    with open_results(sources) as store:
        found = snapshot(store)
    for name, make in documents:
        document = make(found, select)
        for fmt in formats or ("md",):
            text = render(document, fmt)
            if out is None:
                click.echo(text.rstrip("\n"))
            else:
                atomic_write(out / f"{name}.{_ENDINGS[fmt]}", text)
                click.echo(out / f"{name}.{_ENDINGS[fmt]}")


class _PaperTable:
    """A table of the paper, or one of the same form, to be filled in."""

    def __init__(self, table: object) -> None:
        self._table = table

    def __call__(self, found: "Snapshot", select: str | None) -> "Document":
        from harness.report import expected_configs, expected_settings, table_document

        table = self._table
        return table_document(found, table, expected_configs(table), expected_settings(table), select=select)  # type: ignore[arg-type]


class _StudyTable:
    """A study's own table, to be filled in."""

    def __init__(self, name: str, spec_sha: str | None) -> None:
        self._name, self._spec_sha = name, spec_sha

    def __call__(self, found: "Snapshot", select: str | None) -> "Document":
        from harness.report import study_document
        from harness.spec.datasets import DATASETS

        if select is not None:
            raise HarnessError("--select goes with --table and --file: a study's table shows mean and best")
        stand_ins = {d.name: d.stand_in_for for d in DATASETS.values()}
        return study_document(found, self._name, stand_ins, spec_sha=self._spec_sha)


def _documents(
    number: str | None, study: str | None, table_file: Path | None
) -> Sequence[tuple[str, "_PaperTable | _StudyTable"]]:
    """Return what was asked for, each with the name of its files."""
    from harness.report import load_paper_table, load_table, paper_tables

    if study is not None:
        path = Path(study)
        if path.suffix in {".yml", ".yaml"} or path.is_file():
            from harness.spec.study import load_study

            loaded = load_study(path)
            return [(loaded.name, _StudyTable(loaded.name, loaded.spec_sha))]
        return [(study, _StudyTable(study, None))]
    if table_file is not None:
        return [(table_file.stem, _PaperTable(load_table(table_file)))]
    if number == "all":
        return [(f"table{n}", _PaperTable(load_paper_table(n))) for n in paper_tables()]
    if not str(number).isdigit():
        raise HarnessError(f"--table takes a number or all, not '{number}'")
    return [(f"table{number}", _PaperTable(load_paper_table(int(str(number)))))]
