"""Parts of reports within another document: what a README shows of a table is what the results say.

A block begins with `<!-- include reports/table1.md: table -->` and ends with `<!-- end -->`; what is between them is
replaced. All of it is made from the results, and no report is read: `table` and `statistics` for the table of which
reports/table1.md is the file, or for a table file (`my_table.yml`); `summary` is the first paragraph of a report that
has one, such as findings.md. Paths are relative to the document.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from harness.base.errors import HarnessError, did_you_mean
from harness.report.document import Document
from harness.report.render.markdown import statistics_part, table_part
from harness.report.tables.table import Table
from harness.report.tables.table_file import find_table

_START = "<!-- include "
_BLOCK = re.compile(
    rf"({_START}(?P<file>\S+): (?P<part>[\w ]+) -->\n)(?:(?!{_START}).)*?(<!-- end -->)", flags=re.DOTALL
)
_OF_TABLES: Mapping[str, Callable[[Document], str | None]] = {"table": table_part, "statistics": statistics_part}
Summaries = Mapping[str, Callable[[], str]]
"""The reports that have a summary, by their name without its ending, each with what makes it."""
_PARTS = (*_OF_TABLES, "summary")


def included(text: str, folder: Path, fill: Callable[[Table], Document], summaries: Summaries) -> str:
    """Return a document with its blocks as the results now are. Its table files are relative to `folder`.

    `fill` makes a table's document from the results. Raises HarnessError for a table or a summary that is not there, a
    part of another name, and a block that is not ended before the next.
    """
    whole = [found.start() for found in _BLOCK.finditer(text)]
    for mark in re.finditer(_START, text):
        if mark.start() not in whole:
            line = text.count("\n", 0, mark.start()) + 1
            raise HarnessError(f"line {line}: a block is '{_START}FILE: PART -->', its text, '<!-- end -->'")

    @cache
    def document(file: Path) -> Document:
        return fill(_table(file))

    def block(found: re.Match[str]) -> str:
        file, part = folder / found["file"], found["part"]
        made = _summary(file, summaries) if part == "summary" else _of_table(file, part, document)
        return f"{found[1]}{made}\n{found[4]}"

    return _BLOCK.sub(block, text)


def _of_table(file: Path, name: str, document: Callable[[Path], Document]) -> str:
    if name not in _OF_TABLES:
        raise HarnessError(f"{file.name}: there is no part '{name}' to include{did_you_mean(name, _PARTS)}")
    part = _OF_TABLES[name](document(file))
    if not part:
        raise HarnessError(f"{file.name} has no {name} to include")
    return part


def _table(file: Path) -> Table:
    """Return the table of which a report is: table1.md of Table 1, rivals.md of ours of that name."""
    if file.suffix in {".yml", ".yaml"}:
        return find_table(str(file))
    numbered = re.fullmatch(r"table(\d+)", file.stem)
    return find_table(numbered[1] if numbered else file.stem)


def _summary(file: Path, summaries: Summaries) -> str:
    if file.stem not in summaries:
        raise HarnessError(f"{file.name} has no summary to include; these have one: {', '.join(sorted(summaries))}")
    return summaries[file.stem]()
