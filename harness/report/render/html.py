"""A table as a piece of HTML, as a notebook shows it: what is below the table is folded.

Without colours and scripts, so that it looks like the notebook around it, light or dark.
"""

from collections.abc import Iterable, Sequence
from html import escape

from harness.base.errors import printable
from harness.report.document import Cell, Document, StatisticsTable

_LEFT, _RIGHT = (f' style="text-align:{side};padding:0.2em 0.6em"' for side in ("left", "right"))


def to_html(document: Document) -> str:
    """Return the document as HTML without a page around it, ending in a line break."""
    head = ["", *(column.label for column in document.columns)]
    rows = [[_text(row.label), *(_cell(cell, document.compares) for cell in row.cells)] for row in document.rows]
    parts = [
        f"<p><strong>{_text(document.title)}.</strong> {_text(document.caption)}</p>",
        *(["<p>Each cell: paper → ours (difference).</p>"] if document.compares else []),
        _table(map(_text, head), rows),
        *(f"<p><sup>{_text(note.mark)}</sup> {_text(note.text)}</p>" for note in document.footnotes),
        *map(_small, document.statistics),
    ]
    notes = [f"<p>{_text(note.text)}</p>{_list(note.lines)}" for note in document.notes]
    return "\n".join([*parts, *([_folded("Notes", notes)] if notes else [])]) + "\n"


def _small(table: StatisticsTable) -> str:
    rows = [[_text(field) for field in row] for row in table.rows]
    return _folded(table.title, [_table(map(_text, ("", *table.columns)), rows), _list(table.notes)])


def _folded(title: str, parts: Iterable[str]) -> str:
    return "\n".join([f"<details><summary>{_text(title)}</summary>", *filter(None, parts), "</details>"])


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>" if lines else ""


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of fields that are escaped already, the first of each row its label."""
    lines = [_row("th", list(head)), *(_row("td", row) for row in rows)]
    return "\n".join(["<table>", f"<thead>{lines[0]}</thead>", "<tbody>", *lines[1:], "</tbody></table>"])


def _row(tag: str, fields: Sequence[str]) -> str:
    label, *others = fields
    cells = "".join(f"<{tag}{_RIGHT}>{field}</{tag}>" for field in others)
    return f"<tr><th{_LEFT}>{label}</th>{cells}</tr>"


def _cell(cell: Cell, compares: bool) -> str:
    text = f"<strong>{_text(cell.text)}</strong>" if cell.bold else _text(cell.text)
    if compares and cell.paper_text is not None:
        paper = f"<strong>{_text(cell.paper_text)}</strong>" if cell.paper_bold else _text(cell.paper_text)
        text = f"{paper} → {text}" + ("" if cell.difference is None else f" ({_text(cell.difference)})")
    return text + (f"<sup>{_text(','.join(cell.marks))}</sup>" if cell.marks else "")


def _text(text: str) -> str:
    return escape(printable(text))
