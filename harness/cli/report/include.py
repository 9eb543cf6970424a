"""`harness report include`: what a document shows of reports is brought up to date."""

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common import sources_option

if TYPE_CHECKING:
    from harness.report import Document, Table
    from harness.report.figures.results import Results


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCUMENT...", type=click.Path(path_type=Path))
@sources_option
@click.option("--benchmarks", type=click.Path(path_type=Path, file_okay=False), default=Path("results/benchmarks"),
              show_default=True, help="Where the figures of 'harness bench' are stored.")  # fmt: skip
def include(documents: tuple[Path, ...], sources: tuple[Path, ...], benchmarks: Path) -> None:
    """Write again what DOCUMENTs show of reports, such as the tables of a README.

    A block begins with <!-- include reports/table1.md: table --> and ends with <!-- end -->. Parts are `table` and
    `statistics` (of a table's report, or of a table file) and `summary` (the first paragraph of findings.md or of
    benchmarks.md). All are made from the results; no report is read.

    \b
    harness report include README.md --from results/published
    """
    from harness.base.errors import HarnessError
    from harness.base.files import atomic_write
    from harness.bench.report import benchmarks_summary
    from harness.report.claims.document import summary
    from harness.report.claims.findings import findings_of
    from harness.report.figures.results import Results
    from harness.report.include import included
    from harness.report.tables.table_document import stored_document
    from harness.store.merge import open_results

    with ExitStack() as stack:

        @cache
        def stored() -> "Results":
            return Results(stack.enter_context(open_results(sources)), sources)

        def fill(table: "Table") -> "Document":
            return stored_document(stored().store, stored().snapshot, table)

        summaries = {
            "findings": lambda: summary(findings_of(stored())),
            "benchmarks": lambda: benchmarks_summary(benchmarks),
        }

        for path in documents:
            if not path.is_file():
                raise HarnessError(f"{path} is not there")
            text = path.read_text(encoding="utf-8")
            try:
                new = included(text, path.parent, fill, summaries)
            except HarnessError as error:
                raise HarnessError(f"{path}: {error}") from error
            if new != text:
                atomic_write(path, new)
            click.echo(f"{path} ({'as it was' if new == text else 'written again'})")
