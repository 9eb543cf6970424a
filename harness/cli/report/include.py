"""`harness report include`: what a document shows of reports is brought up to date."""

from pathlib import Path

import click


@click.command()
@click.argument("documents", nargs=-1, required=True, metavar="DOCUMENT...", type=click.Path(path_type=Path))
def include(documents: tuple[Path, ...]) -> None:
    """Write anew what DOCUMENTs show of reports, such as the tables of a README.

    A block begins with <!-- include reports/table1.md: table --> and ends with <!-- end -->. Parts are `table`,
    `statistics` (of a table) and `summary` (the first paragraph of any report).

    \b
    harness report include README.md
    """
    from harness.base.errors import HarnessError
    from harness.base.files import atomic_write
    from harness.report.include import included

    for path in documents:
        if not path.is_file():
            raise HarnessError(f"{path} is not there")
        text = path.read_text(encoding="utf-8")
        try:
            new = included(text, path.parent)
        except HarnessError as error:
            raise HarnessError(f"{path}: {error}") from error
        if new != text:
            atomic_write(path, new)
        click.echo(f"{path} ({'as it was' if new == text else 'written anew'})")
