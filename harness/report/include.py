"""Parts of reports within another document: what a README shows of a table is what the report says.

A block begins with `<!-- include reports/table1.md: table -->` and ends with `<!-- end -->`; what is between them is
replaced. Paths are relative to the document.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.base.errors import HarnessError, did_you_mean

_START = "<!-- include "
_BLOCK = re.compile(
    rf"({_START}(?P<file>\S+): (?P<part>[\w ]+) -->\n)(?:(?!{_START}).)*?(<!-- end -->)", flags=re.DOTALL
)


def included(text: str, folder: Path) -> str:
    """Return a document with its blocks as the files, relative to `folder`, now are.

    Raises HarnessError for a file that is missing or has no such part, a part of another name, and a block that is not
    ended before the next.
    """
    whole = [found.start() for found in _BLOCK.finditer(text)]
    for mark in re.finditer(_START, text):
        if mark.start() not in whole:
            line = text.count("\n", 0, mark.start()) + 1
            raise HarnessError(f"line {line}: a block is '{_START}FILE: PART -->', its text, '<!-- end -->'")

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}{_part(folder / found['file'], found['part'])}\n{found[4]}"

    return _BLOCK.sub(block, text)


def _part(file: Path, name: str) -> str:
    if name not in _PARTS:
        raise HarnessError(f"{file.name}: there is no part '{name}' to include{did_you_mean(name, list(_PARTS))}")
    if not file.is_file():
        raise HarnessError(f"{file} is not there to be included")
    part = _PARTS[name](file.read_text(encoding="utf-8").strip("\n").split("\n\n"))
    if not part:
        raise HarnessError(f"{file.name} has no {name} to include")
    return "\n\n".join(part)


def _table(paragraphs: Sequence[str]) -> Sequence[str]:
    """Return the first table with the line before it and the footnotes behind it."""
    at = next((i for i, paragraph in enumerate(paragraphs) if paragraph.startswith("|")), None)
    if at is None:
        return []
    first = at - (at > 0 and paragraphs[at - 1].startswith("Each cell"))
    last = at + 1 + any(paragraph.startswith("- a: ") for paragraph in paragraphs[at + 1 : at + 2])
    return paragraphs[first:last]


def _statistics(paragraphs: Sequence[str]) -> Sequence[str]:
    """Return the first table of statistics with its heading, and of its notes what so many seeds can tell."""
    at = next((i for i, paragraph in enumerate(paragraphs) if re.match(r"[^|]* over seeds", paragraph)), None)
    if at is None:
        return []
    notes = "\n".join(paragraphs[at + 2 : at + 3]).splitlines()
    return [*paragraphs[at : at + 2], *(note.removeprefix("- ") for note in notes if re.match(r"- \d+ seed", note))]


def _summary(paragraphs: Sequence[str]) -> Sequence[str]:
    """Return the first paragraph behind the title."""
    return paragraphs[1:2]


_PARTS: Mapping[str, Callable[[Sequence[str]], Sequence[str]]] = {
    "table": _table,
    "statistics": _statistics,
    "summary": _summary,
}
