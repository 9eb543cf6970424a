"""`harness report`: tables from what is stored, beside the paper's values if there are any."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from harness.base.errors import HarnessError, did_you_mean
from harness.cli.common import named_study, paper_option, plugins_option, sources_option
from harness.cli.completion import studies_and_files
from harness.cli.report.datasets import datasets
from harness.cli.report.figures import figures
from harness.cli.report.findings import findings
from harness.cli.report.html import html
from harness.cli.report.include import include
from harness.cli.report.log import log
from harness.cli.report.statistics import compare, effects, statistics

if TYPE_CHECKING:
    from harness.report import Document, Table
    from harness.report.tables.table import Select
    from harness.store.connection import Store
    from harness.store.records import Snapshot

_ENDINGS = {"md": "md", "latex": "tex", "csv": "csv", "json": "json"}


@click.group()
def report() -> None:
    """Tables, figures, statistics, findings and a page from stored results.

    \b
    harness report tables --study quickstart
    """
    # A report's matrices are small: more threads would only wait for each other, and for a study that runs meanwhile.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


report.add_command(datasets)
report.add_command(effects)
report.add_command(figures)
report.add_command(findings)
report.add_command(html)
report.add_command(statistics)
report.add_command(compare)
report.add_command(include)
report.add_command(log)


@report.command()
@click.option(
    "--table",
    "wanted",
    metavar="N|NAME|all",
    help="A table of the paper, one of ours, or all of which something is stored.",
)
@click.option("--study", metavar="FILE|NAME", help="Any study's own table.", shell_complete=studies_and_files)
@click.option("--file", "table_file", type=click.Path(path_type=Path), help="A table file of your own.")
@click.option(
    "--format", "formats", type=click.Choice(list(_ENDINGS)), multiple=True, help="md (default), latex, csv, json."
)
@click.option("--select", type=click.Choice(["best", "mean", "median"]), help="Instead of the table's own selection.")
@paper_option
@click.option("--digits", type=click.IntRange(0, 15), help="Digits behind the point, of a study's own table.")
@click.option(
    "--pivot",
    metavar="'ROWS × COLUMNS'",
    help="One metric of a study by two settings, e.g. 'compressor.kind × compressor.stride'.",
)
@click.option("--metric", help="The metric of --pivot  [default: the primary one]")
@click.option("--bare", is_flag=True, help="The tables alone, without footnotes and notes.")
@plugins_option
@sources_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write files there instead of printing.")
def tables(  # noqa: PLR0913, PLR0917 - a command has as many parameters as options
    wanted: str | None,
    study: str | None,
    table_file: Path | None,
    formats: tuple[str, ...],
    select: "Select | None",
    paper: str | None,
    digits: int | None,
    pivot: str | None,
    metric: str | None,
    bare: bool,
    sources: tuple[Path, ...],
    out: Path | None,
) -> None:
    """Print tables from stored results; needs neither torch nor data.

    \b
    harness report tables --table 1 --from results/published/mnist.jsonl
    harness report tables --table rivals
    harness report tables --table 1 --paper pruning_filters --from results/published
    harness report tables --study ablations/quickstart.yml
    harness report tables --study quickstart --pivot 'compressor.kind × reduction' --format latex --bare
    harness report tables --table all --from results/published --out reports --format md --format latex --format csv
    """
    if sum(asked is not None for asked in (wanted, study, table_file)) != 1:
        raise HarnessError("name one of --table N, --table all, --study FILE, --file TABLE.yml")
    from harness.base.collection import collection_put_off
    from harness.base.files import atomic_write
    from harness.report import render
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    if study is None and (digits is not None or pivot is not None):
        raise HarnessError("--digits and --pivot go with --study: a table file says how its columns are printed")
    if metric is not None and pivot is None:
        raise HarnessError("--metric goes with --pivot: a study's table shows all metrics")
    if paper is not None and wanted is None:
        raise HarnessError("--paper goes with --table: it says whose tables are meant")
    asked = _asked(wanted, study, table_file, _Shown(digits, pivot, metric), paper)
    with open_results(sources) as store, collection_put_off():
        found = snapshot(store)
        documents = [(name, make(store, found, select)) for name, make in asked]
    if wanted == "all":
        documents = [(name, document) for name, document in documents if _is_filled(document)]
        if not documents:
            click.echo(f"nothing is stored of the tables {', '.join(name for name, _ in asked)}", err=True)
    for name, document in documents:
        _warn(document, name)
        for fmt in formats or ("md",):
            text = render(document.bare if bare else document, fmt)
            if out is None:
                click.echo(text.rstrip("\n"))
            else:
                atomic_write(out / f"{name}.{_ENDINGS[fmt]}", text)
                click.echo(out / f"{name}.{_ENDINGS[fmt]}")


def _is_filled(document: "Document") -> bool:
    """Return whether any run or timing is in it: counts alone are not a result."""
    return any(cell.ours is not None and cell.runs for cell in document.cells)


def _warn(document: "Document", name: str) -> None:
    """Say on stderr, never in the table, that it was made by code that has changed since."""
    from harness.report import stale_remarks

    for remark in stale_remarks(document.behind, name):
        click.echo(f"Note: {remark}", err=True)


class _FormTable:
    """A table of the paper, or one of the same form, to be filled in."""

    def __init__(self, table: "Table", *, may_be_empty: bool = False) -> None:
        self._table, self._may_be_empty = table, may_be_empty

    def __call__(self, store: "Store", found: "Snapshot", select: "Select | None") -> "Document":
        from harness.report.tables.table_document import stored_document

        document = stored_document(store, found, self._table, select)
        if not document.rows and not self._may_be_empty:
            missing = f"no run of study '{self._table.study}' is stored; --from names other results"
            raise HarnessError(f"table {self._table.table}: {missing}")
        return document


class _StudyTable:
    """A study's own table, to be filled in."""

    def __init__(self, name: str, spec_sha: str | None, shown: "_Shown") -> None:
        self._name, self._spec_sha, self._shown = name, spec_sha, shown

    def __call__(self, _: "Store", found: "Snapshot", select: "Select | None") -> "Document":
        from harness.report import study_document
        from harness.report.tables.pivot import pivot_document
        from harness.trial.datasets import DATASETS

        if select is not None:
            raise HarnessError("--select goes with --table and --file: a study's table shows mean and best")
        digits, pivot, metric = self._shown
        if pivot is not None:
            return pivot_document(found, self._name, pivot, metric, spec_sha=self._spec_sha, digits=digits)
        stand_ins = {d.name: d.stand_in_for for d in DATASETS.values()}
        return study_document(found, self._name, stand_ins, spec_sha=self._spec_sha, digits=digits)


class _Shown(NamedTuple):
    """How a study's table is to be shown."""

    digits: int | None
    pivot: str | None
    metric: str | None


def _asked(
    wanted: str | None, study: str | None, table_file: Path | None, shown: _Shown, paper: str | None
) -> Sequence[tuple[str, "_FormTable | _StudyTable"]]:
    """Return what was asked for, each with the name of its files."""
    from harness.report import load_our_table, load_paper_table, load_table, our_tables, paper_tables
    from harness.report.tables.table_file import PAPER, find_paper

    if study is not None:
        name, spec_sha = named_study(study)
        return [(name, _StudyTable(name, spec_sha, shown))]
    if table_file is not None:
        return [(table_file.stem, _FormTable(load_table(table_file)))]
    name = str(wanted)
    folder = PAPER if paper is None else find_paper(paper)
    if name == "all":
        papers = [(f"table{n}", _FormTable(load_paper_table(n, folder))) for n in paper_tables(folder)]
        return papers + [
            (ours, _FormTable(load_our_table(ours, folder), may_be_empty=True)) for ours in our_tables(folder)
        ]
    if name.isdecimal():
        return [(f"table{int(name)}", _FormTable(load_paper_table(int(name), folder)))]
    if name not in our_tables(folder):
        raise HarnessError(
            f"--table takes a number or all, not '{name}'{did_you_mean(name, ['all', *our_tables(folder)])}"
        )
    return [(name, _FormTable(load_our_table(name, folder)))]
