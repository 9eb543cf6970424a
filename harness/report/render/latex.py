r"""A table as LaTeX with booktabs: compiles as it stands in a document that has \usepackage{booktabs}, with
any engine.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import TypeVar

from harness.report.document import DocCell, DocRow, Document, StatisticsTable

_CHARS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # never an argument of \\ or \item
    "]": "{]}",
    "*": "{*}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{GREEK SMALL LETTER SIGMA}": r"$\sigma$",
    "\N{GREEK SMALL LETTER EPSILON}": r"$\epsilon$",
    "\N{SUPERSCRIPT TWO}": "$^2$",
    "\N{SECTION SIGN}": r"\S{}",
    "\N{LEFT SINGLE QUOTATION MARK}": r"\textquoteleft{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": r"\textquoteright{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": r"\textquotedblleft{}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": r"\textquotedblright{}",
}
_OPENING = re.compile(r'(?<![^ (\[])"')  # at the start, behind a space or a bracket
_LIGATURE = re.compile(r"-(?=-)|'(?=')")
_ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0308": r"\"",
    "\u0327": r"\c",
}
_ROWS, _COMPARED_ROWS, _SMALL_ROWS = 40, 12, 20  # that fit on a page
_LINE_PT = 345.0  # the text of an article, ten points on either size of paper
_SIZES = (  # size, points a character and a column's two margins take at it
    (r"\footnotesize", 4.15, 12.0),
    (r"\scriptsize\setlength{\tabcolsep}{3pt}", 3.8, 6.0),
    (r"\tiny\setlength{\tabcolsep}{2pt}", 3.0, 4.0),
)
_Rows = TypeVar("_Rows")
_SCIENTIFIC = re.compile(r"([+\N{MINUS SIGN}-]?)(\d+(?:\.\d+)?)e([+-]?\d+)")


def escape(text: str) -> str:
    """Return text as LaTeX that prints it, on one line and in ASCII alone; a character without a spelling
    as "U+4E2D".
    """
    quoted = _OPENING.sub("\N{LEFT DOUBLE QUOTATION MARK}", " ".join(text.split()))
    quoted = quoted.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}")
    return _LIGATURE.sub(r"\g<0>{}", "".join(_char(char) for char in quoted))


def _char(char: str) -> str:
    if char in _CHARS:
        return _CHARS[char]
    if char.isascii():
        return char if char.isprintable() else f"U+{ord(char):04X}"
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return f"{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"U+{ord(char):04X}"


def _number(text: str) -> str:
    """Return a printed number, with its power of ten where it has one: 2.571e7 as 2.571 x 10^7."""
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        return escape(text)
    sign = match[1].replace("\N{MINUS SIGN}", "-")
    return rf"${sign}{match[2]} \times 10^{{{int(match[3])}}}$"


def to_latex(document: Document) -> str:
    """Return a table environment. Beside a paper, each row is a block of three lines: paper, ours,
    difference.

    Rows that do not fit on a page go on in another environment; statistics and notes with lists stand behind it.
    """
    pieces = _pieces(document.rows, _COMPARED_ROWS if document.compares else _ROWS)
    size = _size(document)
    lines = [r"% needs \usepackage{booktabs}"]
    for number, rows in enumerate(pieces):
        caption = document.caption + (" (continued)" if number else "")
        lines += [r"\begin{table}[htbp]", r"\centering", rf"\caption{{{escape(caption)}}}", size]
        table = _tabular([column.label for column in document.columns], _body(rows, compares=document.compares))
        lines += (
            table if size == _SIZES[0][0] else [r"\makebox[\linewidth]{%", *table, "}"]
        )  # in the middle, if too wide
        lines += [*(_below(document) if number == len(pieces) - 1 else []), r"\end{table}"]
    for small in document.statistics:
        lines += _small(small)
    return "\n".join([*lines, *_details(document)]) + "\n"


def _size(document: Document) -> str:
    """Return the largest size at which the table is no wider than a line of text, by the number of its characters."""
    named = [] if document.compares else [row.label for row in document.rows]
    texts = [[r"xx difference", *named]]
    for i, column in enumerate(document.columns):
        cells = [row.cells[i] for row in document.rows]
        shown = [cell.ours + ",".join(cell.marks) for cell in cells]
        texts.append([column.label, *shown, *(text or "" for cell in cells for text in (cell.paper, cell.difference))])
    characters = max(sum(max(map(len, column)) for column in texts), *(len(row.label) for row in document.rows), 0)
    fitting = (size for size, each, margins in _SIZES if characters * each + len(texts) * margins <= _LINE_PT)
    return next(fitting, _SIZES[-1][0])


def _pieces(rows: Sequence[_Rows], size: int) -> list[Sequence[_Rows]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)] or [rows]


def _tabular(heads: list[str], body: list[str]) -> list[str]:
    centred = [rf"\multicolumn{{1}}{{c}}{{{escape(head)}}}" for head in heads]
    return [
        rf"\begin{{tabular}}{{@{{}}l{'r' * len(heads)}@{{}}}}",
        r"\toprule",
        _line("", centred),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _body(rows: Sequence[DocRow], *, compares: bool) -> list[str]:
    lines = []
    for i, row in enumerate(rows):
        lines += [r"\addlinespace"] if i and compares else []
        lines += _block(row) if compares else [_line(escape(row.label), [_ours(cell) for cell in row.cells])]
    return lines


def _small(table: StatisticsTable) -> list[str]:
    """Return a table of statistics, a block of two lines a row: behind the environment, where it stays."""
    lines = [r"{\footnotesize\raggedright", rf"\noindent {escape(table.title)}\par\smallskip"]
    for rows in _pieces(table.rows, _SMALL_ROWS):
        body = []
        for label, *fields in rows:
            body += [_spanning(label, len(fields) + 1), _line("", [escape(field) for field in fields])]
        lines += [r"{\scriptsize\setlength{\tabcolsep}{3pt}\noindent", *_tabular(list(table.columns), body)]
        lines += [r"\par\smallskip}"]
    return [*lines, *(rf"\noindent {escape(note)}\par" for note in table.notes), "}"]


def _block(row: DocRow) -> list[str]:
    return [
        _spanning(row.label, len(row.cells) + 1),
        _line(r"\quad paper", [_bold(cell.paper, cell.paper_bold) for cell in row.cells]),
        _line(r"\quad ours", [_ours(cell) for cell in row.cells]),
        _line(r"\quad difference", [_bold(cell.difference, on=False) for cell in row.cells]),
    ]


def _spanning(label: str, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{@{{}}l}}{{{escape(label)}}} \\"


def _line(label: str, fields: list[str]) -> str:
    return rf"{' & '.join([label, *fields])} \\"


def _ours(cell: DocCell) -> str:
    marks = f"$^{{\\mathrm{{{','.join(cell.marks)}}}}}$" if cell.marks else ""
    return _bold(cell.ours, cell.bold) + marks


def _bold(text: str | None, on: bool) -> str:
    if text is None:
        return ""
    return rf"\textbf{{{_number(text)}}}" if on else _number(text)


def _below(document: Document) -> list[str]:
    """Return what stands below the table, within its environment: small paragraphs as wide as the text."""
    notes = [f"$^{{\\mathrm{{{note.mark}}}}}$~{escape(note.text)}" for note in document.footnotes]
    notes += [escape(note.text) for note in document.notes if not note.lines]
    body = [rf"{note}\par" for note in notes]
    frame = [r"\par\medskip", r"\begin{minipage}{\linewidth}", r"\footnotesize\raggedright"]
    return [*frame, *body, r"\end{minipage}"] if notes else []


def _details(document: Document) -> list[str]:
    """Return the notes with lists: behind the environment, where they may go on to the next page."""
    listed = [note for note in document.notes if note.lines]
    notes = [" ".join([escape(note.text), *map(_stopped, note.lines)]) for note in listed]
    body = [rf"\noindent {note}\par" for note in notes]
    return [r"{\footnotesize\raggedright", *body, "}"] if notes else []


def _stopped(line: str) -> str:
    """Return a line as a sentence."""
    return escape(line if line.endswith((".", "!", "?")) else line + ".")
