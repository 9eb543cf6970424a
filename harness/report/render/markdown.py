"""A table as GitHub's Markdown, aligned so that it reads as well in a terminal."""

import re
from collections.abc import Sequence
from unicodedata import east_asian_width

from harness.base.errors import printable
from harness.report.document import DocCell, Document

_SPECIAL = re.compile(r"[\\|*`<]|\[(?=[^\]]*\][(\[:])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ARROW = "\N{RIGHTWARDS ARROW}"


def escape(text: str) -> str:
    """Return text on one line that Markdown shows as it is, within a table too; control characters as \\x1b."""
    return _SPECIAL.sub(lambda match: "\\" + match.group(), " ".join(printable(text).split()))


def to_markdown(document: Document) -> str:
    """Return the document as Markdown: a heading, the table ("paper → ours (difference)" in each cell),
    what stands below.
    """
    lines = [f"**{escape(document.title)}.** {escape(document.caption)}", ""]
    how = f"Each cell: paper {_ARROW} ours (difference)."
    lines += [how, ""] if document.compares else []
    lines += _table(document)
    lines += [f"- {note.mark}: {escape(note.text)}" for note in document.footnotes]
    lines += [""] if document.footnotes else []
    for small in document.statistics:
        lines += [escape(small.title), ""]
        lines += _aligned([("", *small.columns), *small.rows])
        lines += [*(f"- {escape(note)}" for note in small.notes), ""]
    for note in document.notes:
        lines += [escape(note.text), ""]
        lines += [*(f"- {escape(line)}" for line in note.lines), ""] if note.lines else []
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(document: Document) -> list[str]:
    grid = [["", *(escape(column.label) for column in document.columns)]]
    grid += [[escape(row.label), *(_cell(cell, document.compares) for cell in row.cells)] for row in document.rows]
    return _lines(grid)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    return _lines([[escape(field) for field in row] for row in rows])


def _lines(grid: list[list[str]]) -> list[str]:
    """Return a table of fields that are escaped already, the first line its head."""
    widths = [max(3, *(_width(line[i]) for line in grid)) for i in range(len(grid[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(grid[0], widths), _line(rule, widths), *(_line(line, widths) for line in grid[1:])]
    return [*lines, ""]


def _cell(cell: DocCell, compares: bool) -> str:
    ours = f"**{escape(cell.ours)}**" if cell.bold else escape(cell.ours)
    text = ours
    if compares and cell.paper is not None:
        paper = f"**{escape(cell.paper)}**" if cell.paper_bold else escape(cell.paper)
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
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
