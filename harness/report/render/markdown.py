"""A table as GitHub's Markdown, aligned so that it reads as well in a terminal."""

import re
from collections.abc import Sequence
from unicodedata import east_asian_width

from harness.base.errors import printable
from harness.report.document import Cell, Document, StatisticsTable

_SPECIAL = re.compile(r"[\\|*`<]|\[(?=[^\]]*\][(\[:])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ARROW = "\N{RIGHTWARDS ARROW}"
_FIRST_WIDE = "\N{HANGUL CHOSEONG KIYEOK}"


def escape(text: str) -> str:
    """Return text on one line that Markdown shows as it is, within a table too; control characters as \\x1b."""
    return _SPECIAL.sub(lambda match: "\\" + match.group(), " ".join(printable(text).split()))


def to_markdown(document: Document) -> str:
    """Return the document as Markdown: a heading, the table ("paper → ours (difference)" in each cell),
    what is below.
    """
    lines = [f"**{escape(document.title)}.** {escape(document.caption)}", "", table_part(document), ""]
    for small in document.statistics:
        lines += [*_small(small), *(f"- {escape(note)}" for note in small.notes), ""]
    for note in document.notes:
        lines += [escape(note.text), ""]
        lines += [*(f"- {escape(line)}" for line in note.lines), ""] if note.lines else []
    return "\n".join(lines).rstrip("\n") + "\n"


def table_part(document: Document) -> str:
    """Return the table as Markdown, with how to read it and its footnotes."""
    grid = [["", *(escape(column.label) for column in document.columns)]]
    grid += [[escape(row.label), *(_cell(cell, document.compares) for cell in row.cells)] for row in document.rows]
    how = [f"Each cell: paper {_ARROW} ours (difference).", ""] if document.compares else []
    footnotes = [f"- {note.mark}: {escape(note.text)}" for note in document.footnotes]
    return "\n".join([*how, *_lines(grid), *footnotes]).rstrip("\n")


def statistics_part(document: Document) -> str | None:
    """Return the first table of statistics as Markdown, and what so many seeds can tell; None of none."""
    small = next(iter(document.statistics), None)
    return None if small is None else "\n".join([*_small(small), escape(small.can_tell)]).rstrip("\n")


def _small(table: StatisticsTable) -> list[str]:
    return [escape(table.title), "", *_aligned([("", *table.columns), *table.rows])]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    return _lines([[escape(field) for field in row] for row in rows])


def _lines(grid: list[list[str]]) -> list[str]:
    """Return a table of fields that are escaped already, the first line its head."""
    widths = [max(3, *(_width(line[i]) for line in grid)) for i in range(len(grid[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(grid[0], widths), _line(rule, widths), *(_line(line, widths) for line in grid[1:])]
    return [*lines, ""]


def _cell(cell: Cell, compares: bool) -> str:
    ours = f"**{escape(cell.text)}**" if cell.bold else escape(cell.text)
    text = ours
    if compares and cell.paper_text is not None:
        paper = f"**{escape(cell.paper_text)}**" if cell.paper_bold else escape(cell.paper_text)
        text = f"{paper} {_ARROW} {ours}"
        text += "" if cell.difference is None else f" ({escape(cell.difference)})"
    marks = f" [{','.join(cell.marks)}]" if cell.marks else ""
    return text + marks


def _line(fields: list[str], widths: list[int]) -> str:
    first, *rest = (" " * (width - _width(field)) for field, width in zip(fields, widths, strict=True))
    numbers = (pad + field for field, pad in zip(fields[1:], rest, strict=True))
    return f"| {' | '.join([fields[0] + first, *numbers])} |"


def _width(text: str) -> int:
    """Return how many places a terminal gives to a text."""
    if max(text, default="") < _FIRST_WIDE:
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
