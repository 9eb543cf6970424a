"""A store for datasette: a file that it can open, and the metadata that goes with it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.store.connection import Store, open_reader, open_store
from harness.store.described import TABLES, metadata
from harness.store.merge import files_of, merge_file
from harness.store.place import DEFAULT_DB


@contextmanager
def browsable(sources: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Give a database and a file of metadata: a single store as it is, all else merged into one that is thrown away.

    Raises HarnessError where there is nothing to browse.
    """
    with TemporaryDirectory(prefix="harness-browse-") as name:
        folder = Path(name)
        files = files_of(sources)
        database = files[0] if len(files) == 1 and files[0].suffix != ".jsonl" else _merged(files, folder)
        with open_reader(database) as store:
            described = metadata(database.stem, columns(store))
        path = folder / "metadata.json"
        path.write_text(json.dumps(described), encoding="utf-8")
        yield database, path


def columns(store: Store) -> dict[str, list[str]]:
    """Return the columns of each table and view."""
    return {
        table: [row[0] for row in store.db.conn.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        for table in TABLES
    }


def _merged(files: Sequence[Path], folder: Path) -> Path:
    path = folder / DEFAULT_DB.name
    with open_store(path) as store:
        for file in files:
            merge_file(store, file)
    return path
