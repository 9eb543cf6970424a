r"""A table as LaTeX with booktabs: compiles as it stands in a document that has \usepackage{booktabs}, with
any engine.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from harness.base.errors import printable
from harness.report.document import Cell, DocRow, Document, StatisticsTable

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
    "\N{GREEK SMALL LETTER EPSILON}": r"$\epsilon$",
    "\N{GREEK LUNATE EPSILON SYMBOL}": r"$\epsilon$",
    "\N{GREEK SMALL LETTER FINAL SIGMA}": r"$\varsigma$",
    "\N{GREEK SMALL LETTER OMICRON}": "$o$",
    "\N{GREEK THETA SYMBOL}": r"$\vartheta$",
    "\N{GREEK PHI SYMBOL}": r"$\varphi$",
    "\N{GREEK PI SYMBOL}": r"$\varpi$",
    "\N{GREEK RHO SYMBOL}": r"$\varrho$",
    "\N{MICRO SIGN}": r"$\mu$",
    "\N{INFINITY}": r"$\infty$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{NOT EQUAL TO}": r"$\neq$",
    "\N{IDENTICAL TO}": r"$\equiv$",
    "\N{PROPORTIONAL TO}": r"$\propto$",
    "\N{MUCH LESS-THAN}": r"$\ll$",
    "\N{MUCH GREATER-THAN}": r"$\gg$",
    "\N{ELEMENT OF}": r"$\in$",
    "\N{UNION}": r"$\cup$",
    "\N{INTERSECTION}": r"$\cap$",
    "\N{SUBSET OF}": r"$\subset$",
    "\N{EMPTY SET}": r"$\emptyset$",
    "\N{FOR ALL}": r"$\forall$",
    "\N{THERE EXISTS}": r"$\exists$",
    "\N{NABLA}": r"$\nabla$",
    "\N{PARTIAL DIFFERENTIAL}": r"$\partial$",
    "\N{SQUARE ROOT}": r"$\surd$",
    "\N{N-ARY SUMMATION}": r"$\sum$",
    "\N{N-ARY PRODUCT}": r"$\prod$",
    "\N{CIRCLED PLUS}": r"$\oplus$",
    "\N{CIRCLED TIMES}": r"$\otimes$",
    "\N{DOT OPERATOR}": r"$\cdot$",
    "\N{ASTERISK OPERATOR}": r"$\ast$",
    "\N{RING OPERATOR}": r"$\circ$",
    "\N{DIVISION SIGN}": r"$\div$",
    "\N{NOT SIGN}": r"$\neg$",
    "\N{LEFTWARDS ARROW}": r"$\leftarrow$",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{LEFT RIGHT ARROW}": r"$\leftrightarrow$",
    "\N{PRIME}": "$'$",
    "\N{SCRIPT SMALL L}": r"$\ell$",
    "\N{DEGREE SIGN}": r"$^\circ$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{BULLET}": r"\textbullet{}",
    "\N{DAGGER}": r"\dag{}",
    "\N{LATIN SMALL LETTER SHARP S}": r"\ss{}",
    "\N{LATIN SMALL LETTER O WITH STROKE}": r"\o{}",
    "\N{LATIN CAPITAL LETTER O WITH STROKE}": r"\O{}",
    "\N{LATIN SMALL LETTER AE}": r"\ae{}",
    "\N{LATIN CAPITAL LETTER AE}": r"\AE{}",
    "\N{SECTION SIGN}": r"\S{}",
    "\N{LEFT SINGLE QUOTATION MARK}": r"\textquoteleft{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": r"\textquoteright{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": r"\textquotedblleft{}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": r"\textquotedblright{}",
}
_OPENING = re.compile(r'(?<![^ (\[])"')  # at the start, behind a space or a bracket
_LIGATURE = re.compile(r"-(?=-)|'(?=')")
_GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER ([A-Z]+)")
_ALIKE = {
    "ALPHA": "A", "BETA": "B", "EPSILON": "E", "ZETA": "Z", "ETA": "H", "IOTA": "I", "KAPPA": "K", "MU": "M", "NU": "N",
    "OMICRON": "O", "RHO": "P", "TAU": "T", "CHI": "X",
}  # fmt: skip
"""Capital Greek letters that look like Latin ones, for which TeX has no commands."""
_INDEX = re.compile(r"\$([_^])\{([^}$]*)\}\$\$\1\{")  # two digits of one index
_OF_LETTER = re.compile(r"(?<=[A-Za-z])\$\$(?=[_^])")  # between a Greek letter and its index
_SPELLED = {"LAMDA": "lambda"}
_ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0308": r"\"",
    "\u0327": r"\c",
}
_SMALL_ROWS = 20  # of statistics, between which a page may end
_LINE_PT, _PAGE_PT = 345.0, 550.0  # the text of an article, ten points on either size of paper
_FRAME_PT, _CAPTION_PT = 50.0, 12.0  # what the rules, heads and gaps of a table take; a line of its caption


class _Size(NamedTuple):
    """A size of type: the points that a character, a column's two margins and a line take at it."""

    command: str
    char: float
    margins: float
    line: float


_SIZES = (
    _Size(r"\footnotesize", 4.15, 12.0, 9.5),
    _Size(r"\scriptsize\setlength{\tabcolsep}{3pt}", 3.8, 6.0, 8.0),
    _Size(r"\tiny\setlength{\tabcolsep}{2pt}", 3.0, 4.0, 6.0),
)
_NOTES = _SIZES[0]
_BLOCK = 4.5  # lines a row takes beside a paper: its label, three values, a gap
_Rows = TypeVar("_Rows")
_SCIENTIFIC = re.compile(r"([+\N{MINUS SIGN}-]?)(\d+(?:\.\d+)?)e([+-]?\d+)")


def escape(text: str) -> str:
    """Return text as LaTeX that prints it, on one line and in ASCII alone; a character without a spelling
    as "U+4E2D", a control character as \\x1b.
    """
    quoted = _OPENING.sub("\N{LEFT DOUBLE QUOTATION MARK}", " ".join(printable(text).split()))
    quoted = quoted.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}")
    spelled = _LIGATURE.sub(r"\g<0>{}", "".join(_char(char) for char in quoted))
    while (joined := _INDEX.sub(r"$\1{\2", spelled)) != spelled:
        spelled = joined
    return _OF_LETTER.sub("", spelled)


def _char(char: str) -> str:
    if char in _CHARS:
        return _CHARS[char]
    if char.isascii():
        return char if char.isprintable() else f"U+{ord(char):04X}"
    if (greek := _GREEK.fullmatch(unicodedata.name(char, ""))) is not None:
        return _greek(capital=greek[1] == "CAPITAL", name=greek[2])
    form, _, base = unicodedata.decomposition(char).partition(" ")
    if form in {"<sub>", "<super>"} and " " not in base:
        return f"${'_' if form == '<sub>' else '^'}{{{_inside(chr(int(base, 16)))}}}$"
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return f"{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"U+{ord(char):04X}"


def _greek(*, capital: bool, name: str) -> str:
    """Return a Greek letter by its name in Unicode."""
    if capital and name in _ALIKE:
        return rf"$\mathrm{{{_ALIKE[name]}}}$"
    word = _SPELLED.get(name, name.lower())
    return f"$\\{word.capitalize() if capital else word}$"


def _inside(char: str) -> str:
    """Return a character of an index, within a formula."""
    return _char(char).strip("$") if char != "\N{MINUS SIGN}" else "-"


def _number(text: str) -> str:
    """Return a printed number, with its power of ten if it has one: 2.571e7 as 2.571 x 10^7."""
    match = _SCIENTIFIC.fullmatch(text)
    if match is None:
        return escape(text)
    sign = match[1].replace("\N{MINUS SIGN}", "-")
    return rf"${sign}{match[2]} \times 10^{{{int(match[3])}}}$"


def to_latex(document: Document) -> str:
    """Return a table environment. Beside a paper, each row is a block of three lines: paper, ours,
    difference.

    Rows that do not fit on a page go on in another environment; statistics and notes with lists are behind it.
    """
    size, notes = _size(document), _notes(document)
    pieces = _pages(document, size, notes)
    lines = [r"% needs \usepackage{booktabs}"]
    for number, rows in enumerate(pieces):
        caption = document.caption + (" (continued)" if number else "")
        lines += [r"\begin{table}[htbp]", r"\centering", rf"\caption{{{escape(caption)}}}", size.command]
        table = _tabular([column.label for column in document.columns], _body(rows, compares=document.compares))
        lines += table if size == _SIZES[0] else [r"\makebox[\linewidth]{%", *table, "}"]  # in the middle, if too wide
        lines += [*(_below(notes) if number == len(pieces) - 1 else []), r"\end{table}"]
    for small in document.statistics:
        lines += _small(small)
    return "\n".join([*lines, *_details(document)]) + "\n"


def _size(document: Document) -> _Size:
    """Return the largest size at which the table is no wider than a line of text, by the number of its characters."""
    named = [] if document.compares else [row.label for row in document.rows]
    texts = [[r"xx difference", *named]]
    for i, column in enumerate(document.columns):
        cells = [row.cells[i] for row in document.rows]
        shown = [cell.text + ",".join(cell.marks) for cell in cells]
        texts.append(
            [column.label, *shown, *(text or "" for cell in cells for text in (cell.paper_text, cell.difference))]
        )
    characters = max(sum(max(map(len, column)) for column in texts), *(len(row.label) for row in document.rows), 0)
    fitting = (size for size in _SIZES if characters * size.char + len(texts) * size.margins <= _LINE_PT)
    return next(fitting, _SIZES[-1])


def _pages(document: Document, size: _Size, notes: Sequence[str]) -> list[Sequence[DocRow]]:
    """Return the rows that are on each page: as many on one as on another, and the notes fit below the last."""
    row = size.line * (_BLOCK if document.compares else 1)
    room = _PAGE_PT - _FRAME_PT - _CAPTION_PT * _lines([document.caption + " (continued)"], _CAPTION_PT / 2)
    full, last = (max(int(points / row), 1) for points in (room, room - _NOTES.line * _lines(notes, _NOTES.char)))
    rows = document.rows
    before = math.ceil((len(rows) - last) / full)  # pages before the last
    if before <= 0:
        return [rows]
    kept = len(rows) - min(last, len(rows) // (before + 1))
    return [*_pieces(rows[:kept], math.ceil(kept / before)), rows[kept:]]


def _lines(paragraphs: Sequence[str], char: float) -> int:
    return sum(math.ceil(len(text) * char / _LINE_PT) for text in paragraphs)


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
    """Return a table of statistics, a block of two lines per row: behind the environment, where it stays."""
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
        _line(r"\quad paper", [_bold(cell.paper_text, cell.paper_bold) for cell in row.cells]),
        _line(r"\quad ours", [_ours(cell) for cell in row.cells]),
        _line(r"\quad difference", [_bold(cell.difference, on=False) for cell in row.cells]),
    ]


def _spanning(label: str, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{@{{}}l}}{{{escape(label)}}} \\"


def _line(label: str, fields: list[str]) -> str:
    return rf"{' & '.join([label, *fields])} \\"


def _ours(cell: Cell) -> str:
    marks = f"$^{{\\mathrm{{{','.join(cell.marks)}}}}}$" if cell.marks else ""
    return _bold(cell.text, cell.bold) + marks


def _bold(text: str | None, on: bool) -> str:
    if text is None:
        return ""
    return rf"\textbf{{{_number(text)}}}" if on else _number(text)


def _notes(document: Document) -> list[str]:
    """Return what is below the table, a paragraph each."""
    notes = [f"$^{{\\mathrm{{{note.mark}}}}}$~{escape(note.text)}" for note in document.footnotes]
    return notes + [escape(note.text) for note in document.notes if not note.lines]


def _below(notes: Sequence[str]) -> list[str]:
    """Return the notes as small paragraphs as wide as the text, within the table's environment."""
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
