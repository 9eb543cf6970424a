"""`harness report`: tables from what is stored, beside the paper's values if there are any."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.base.errors import HarnessError, did_you_mean
from harness.cli.common import format_option, plugins_option, sources_option
from harness.cli.report.figures import figures
from harness.cli.report.html import html
from harness.cli.report.include import include
from harness.cli.report.statistics import compare, statistics

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


report.add_command(figures)
report.add_command(html)
report.add_command(statistics)
report.add_command(compare)
report.add_command(include)


@report.command()
@click.option(
    "--table",
    "wanted",
    metavar="N|NAME|all",
    help="A table of the paper, one of ours, or all of which something is stored.",
)
@click.option("--study", metavar="FILE|NAME", help="Any study's own table.")
@click.option("--file", "table_file", type=click.Path(path_type=Path), help="A table file of your own.")
@click.option(
    "--format", "formats", type=click.Choice(list(_ENDINGS)), multiple=True, help="md (default), latex, csv, json."
)
@click.option("--select", type=click.Choice(["best", "mean", "median"]), help="Instead of the table's own selection.")
@plugins_option
@sources_option
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write files there instead of printing.")
def tables(
    wanted: str | None,
    study: str | None,
    table_file: Path | None,
    formats: tuple[str, ...],
    select: "Select | None",
    sources: tuple[Path, ...],
    out: Path | None,
) -> None:
    """Print tables from stored results; needs neither torch nor data.

    \b
    harness report tables --table 1 --from results/published/mnist.jsonl
    harness report tables --table rivals
    harness report tables --study ablations/quickstart.yml
    harness report tables --table all --from results/published --out reports --format md --format latex --format csv
    """
    if sum(asked is not None for asked in (wanted, study, table_file)) != 1:
        raise HarnessError("name one of --table N, --table all, --study FILE, --file TABLE.yml")
    from harness.base.files import atomic_write
    from harness.report import render
    from harness.store.merge import open_results
    from harness.store.queries import snapshot

    asked = _asked(wanted, study, table_file)
    with open_results(sources) as store:
        found = snapshot(store)
        documents = [(name, make(store, found, select)) for name, make in asked]
    if wanted == "all":
        documents = [(name, document) for name, document in documents if _is_filled(document)]
        if not documents:
            click.echo(f"nothing is stored of the tables {', '.join(name for name, _ in asked)}", err=True)
    for name, document in documents:
        _warn(document, name)
        for fmt in formats or ("md",):
            text = render(document, fmt)
            if out is None:
                click.echo(text.rstrip("\n"))
            else:
                atomic_write(out / f"{name}.{_ENDINGS[fmt]}", text)
                click.echo(out / f"{name}.{_ENDINGS[fmt]}")


@report.command()
@sources_option
@format_option("md", "json")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write this file instead of printing.")
def findings(sources: tuple[Path, ...], fmt: str, out: Path | None) -> None:
    """Print what came of the paper's claims, and where the paper disagrees with itself.

    \b
    harness report findings --from results/published
    harness report findings --from results/published --out reports/findings.md
    """
    from harness.base.files import atomic_write
    from harness.report.claims.document import findings_json, findings_markdown
    from harness.report.claims.findings import findings as found_of
    from harness.report.claims.findings import gains
    from harness.report.claims.load import load_claims
    from harness.report.claims.misprints import load_misprints
    from harness.report.figures.results import Results
    from harness.store.merge import open_results
    from harness.store.queries import curve

    claims = load_claims()
    with open_results(sources) as store:
        results = Results(store, sources)
        found = found_of(results.snapshot, claims, partial(curve, store), results.maps)
        printed = gains(results.snapshot)
    text = (findings_json if fmt == "json" else findings_markdown)(found, load_misprints(), claims.untested, printed)
    if out is None:
        click.echo(text.rstrip("\n"))
    else:
        atomic_write(out, text)
        click.echo(out)


def _is_filled(document: "Document") -> bool:
    """Return whether any run or timing stands in it: counts alone are no result."""
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
        from harness.report import filled, table_document
        from harness.store.queries import samples

        table, expected, settings = filled(self._table, found)
        if not table.rows and not self._may_be_empty:
            missing = f"no run of study '{table.study}' is stored; --from names other results"
            raise HarnessError(f"table {table.table}: {missing}")
        return table_document(found, table, expected, settings, select=select, samples=partial(samples, store))


class _StudyTable:
    """A study's own table, to be filled in."""

    def __init__(self, name: str, spec_sha: str | None) -> None:
        self._name, self._spec_sha = name, spec_sha

    def __call__(self, _: "Store", found: "Snapshot", select: "Select | None") -> "Document":
        from harness.report import study_document
        from harness.trial.datasets import DATASETS

        if select is not None:
            raise HarnessError("--select goes with --table and --file: a study's table shows mean and best")
        stand_ins = {d.name: d.stand_in_for for d in DATASETS.values()}
        return study_document(found, self._name, stand_ins, spec_sha=self._spec_sha)


def _asked(
    wanted: str | None, study: str | None, table_file: Path | None
) -> Sequence[tuple[str, "_FormTable | _StudyTable"]]:
    """Return what was asked for, each with the name of its files."""
    from harness.report import load_our_table, load_paper_table, load_table, our_tables, paper_tables

    if study is not None:
        path = Path(study)
        if path.suffix in {".yml", ".yaml"} or path.is_file():
            from harness.study.study import load_study

            loaded = load_study(path, skip_invalid=True)
            return [(loaded.name, _StudyTable(loaded.name, loaded.spec_sha))]
        return [(study, _StudyTable(study, None))]
    if table_file is not None:
        return [(table_file.stem, _FormTable(load_table(table_file)))]
    name = str(wanted)
    if name == "all":
        papers = [(f"table{n}", _FormTable(load_paper_table(n))) for n in paper_tables()]
        return papers + [(ours, _FormTable(load_our_table(ours), may_be_empty=True)) for ours in our_tables()]
    if name.isdecimal():
        return [(f"table{int(name)}", _FormTable(load_paper_table(int(name))))]
    if name not in our_tables():
        raise HarnessError(f"--table takes a number or all, not '{name}'{did_you_mean(name, ['all', *our_tables()])}")
    return [(name, _FormTable(load_our_table(name)))]
