"""Taking in published lines and other stores, each file in one transaction: all of it or nothing.

Merging is idempotent: an attempt is known by its uid, a study's text and a trial's place in it are the
newest that any file has, and the trials of files that have one text of a study are in it together; costs and names
of data that the store has already stay as they are. Where the store saw an attempt begin and not end, it takes in how
it ended.

The format of lines (pydantic) is imported when lines are read: who opens a store as it is does not wait for it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import HarnessError
from harness.store.connection import Store, open_memory, open_reader
from harness.store.trusted import link_faults

_LONGEST_LINE = 2**28
"""Bytes of a line, a quarter of a gigabyte: six million points of a curve. More is not a published attempt."""


@dataclass(frozen=True)
class MergeReport:
    """How many attempts were new, and how many the store had already."""

    added: int
    known: int


def merge_jsonl(store: Store, path: Path) -> MergeReport:
    """Take in a file of published lines.

    Raises HarnessError with file and line, and changes nothing, if a line is cut off, of an unknown
    format, or if its keys are not those of its contents.
    """
    return merge_lines(store, _lines_of(path), str(path))


def merge_store(store: Store, other_path: Path) -> MergeReport:
    """Take in the attempts that count of another store, as if it had been exported first, with source."""
    from harness.store.export import published_lines

    with open_reader(other_path) as other:
        return merge_lines(store, published_lines(other, studies=None, with_source=True), str(other_path))


def merge_file(store: Store, path: Path) -> MergeReport:
    """Take in a file, published lines (*.jsonl) or another store. Raises HarnessError if it is neither."""
    return merge_jsonl(store, path) if path.suffix == ".jsonl" else merge_store(store, path)


def files_of(sources: Sequence[Path]) -> list[Path]:
    """Return the files among `sources`, and the published ones in the folders among them.

    Raises HarnessError for a source that is not there, or a folder without published files.
    """
    files: list[Path] = []
    for source in sources:
        inside = sorted(source.glob("*.jsonl")) if source.is_dir() else [source] if source.exists() else []
        if not inside:
            said = "holds no published results (*.jsonl)" if source.is_dir() else "no results database here"
            raise HarnessError(f"{source}: {said}")
        files += inside
    if not files:
        raise HarnessError("no results to read were named")
    return files


def open_results(path: Path | Sequence[Path], *, updated: bool = False) -> Store:
    """Open results to read them: a store as it is; published files, or folders of them, in memory.

    With `updated`, a store of an older version is read as well, in memory. Raises HarnessError if nothing is there.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    if len(paths) == 1 and paths[0].suffix != ".jsonl" and not paths[0].is_dir():
        return open_reader(paths[0], updated=updated)
    files = files_of(paths)
    store = open_memory()
    try:
        for file in files:
            merge_file(store, file)
    except BaseException:
        store.close()
        raise
    return store


def _lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file with their ends, one at a time: a file may be large."""
    try:
        with path.open("rb", buffering=2**20) as file:
            number = 1
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise HarnessError(f"{path}:{number}: the line is longer than {_LONGEST_LINE >> 20} MiB")
                yield line
                number += 1
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read ({error.strerror or error})") from error


def _is_cut_off(line: str | bytes) -> bool:
    """Return whether a line that cannot be read is the beginning of one: the last, without its end."""
    if not isinstance(line, bytes) or line.endswith(b"\n"):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def merge_lines(store: Store, lines: Iterable[str | bytes], source: str) -> MergeReport:
    """Take in published lines in one transaction; empty ones are skipped. `source` is what errors name."""
    from harness.store.take import take_line

    added = known = 0
    numbers: dict[str, int] = {}  # of the lines by uid
    with store.writing() as conn:
        texts = set(conn.execute("SELECT created, name, spec_sha FROM study"))
        for number, text in enumerate(lines, start=1):
            if not text or text.isspace():
                continue
            try:
                taken = take_line(conn, text)
            except (ValueError, OverflowError, HarnessError, sqlite3.IntegrityError) as error:
                said = "the last line is cut off; the file is not whole" if _is_cut_off(text) else error
                raise HarnessError(f"{source}:{number}: {said}") from error
            numbers[taken.uid] = number
            added, known = added + taken.is_new, known + (not taken.is_new)
            texts |= taken.texts
        for uid, words in link_faults(conn):
            if uid in numbers:
                raise HarnessError(f"{source}:{numbers[uid]}: attempt {uid}: {words}")
        _stand_together(conn, texts)
    return MergeReport(added, known)


def _stand_together(conn: sqlite3.Connection, texts: Iterable[tuple[str, str, str]]) -> None:
    """Let trials stand in a study that was put into several stores, each at its time, with one text.

    Of two trials at one position of it, as after an edit of a plug-in, the one that was added last is there.
    """
    for created, name, sha in sorted(texts, reverse=True):
        conn.execute(
            """UPDATE study_trial AS t SET added = s.created FROM study s
            WHERE s.id = t.study_id AND s.name = ? AND s.spec_sha = ? AND t.added = ? AND NOT EXISTS (
                SELECT 1 FROM study_trial o
                WHERE o.study_id = s.id AND o.added = s.created AND o.position = t.position
            )""",
            (name, sha, created),
        )
