"""Opening a store: for writing, read-only, or in memory. Migrations, with a backup before each. The lock that a driver
holds on `<database>.lock` while it works: drivers of grids share it, whatever else changes results holds it alone.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlite_utils import Database, Migrations

from harness.base.errors import HarnessError
from harness.base.locks import LockHeldError, hold, holder_words
from harness.store.access import TRY_MS, open_writer, patiently, wait_on
from harness.store.errors import ReplacedError
from harness.store.schema import MIGRATIONS, known_migrations

_log = logging.getLogger(__name__)
_BUSY_TIMEOUT_MS = 10_000


@dataclass(frozen=True)
class _Files:
    """The database file and the log of a store in use, by device and inode; None if there is none."""

    path: Path
    log: Path
    database_id: tuple[int, int] | None
    log_id: tuple[int, int] | None

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the files of the store that was opened at a path."""
        real, absolute = path.resolve(), path.absolute()  # a function may change the current folder
        log = real.with_name(f"{real.name}-wal")
        return cls(absolute, log, _identity(absolute), _identity(log))

    def change(self) -> str | None:
        """Return what became of the database file, or None if the path still names it."""
        found = _identity(self.path)
        return None if found == self.database_id else "removed" if found is None else "replaced by another file"

    def remove_stale_log(self) -> None:
        """Remove the log of a file that has been replaced: the next program would take it for that of the new one.

        SQLite leaves it there. What it holds is in the file that it is of, or else in the attempts' folders.
        """
        if self.change() is not None and self.log_id is not None and _identity(self.log) == self.log_id:
            with suppress(OSError):
                self.log.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True)
class Store:
    """An open database of results: a context manager, for the thread that opened it."""

    db: Database
    path: Path | None  # None in memory
    journal: str  # wal, delete or memory
    while_locked: Callable[[], None] = wait_on  # called again and again while another program holds the write lock
    files: "_Files | None" = None  # of one that was opened for writing

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close the connection; the last one to close moves the log into the database file."""
        self.db.close()
        if self.files is not None:
            self.files.remove_stale_log()

    def asking(self, while_locked: Callable[[], None]) -> Self:
        """Return the same open store, which calls `while_locked` while it waits for another program's lock.

        What that raises (`GaveUpWaitingError`) ends the waiting.
        """
        return replace(self, while_locked=while_locked)

    def check(self) -> str | None:
        """Return what is wrong with the file by SQLite's own checks, or None."""
        found = [row[0] for row in self.db.conn.execute("PRAGMA integrity_check") if row[0] != "ok"]
        orphans = list(self.db.conn.execute("PRAGMA foreign_key_check"))
        found += [f"row {row} of {table} names no {parent}" for table, row, parent, _ in orphans]
        return f"{len(found)} faults, the first: {found[0]}" if found else None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make the block one transaction, with the write lock from its start; within another, a savepoint.

        If another program holds the lock this waits for as long as it takes, and says so once. Afterwards all is in the
        database file itself, so that a copy of it alone is intact. Raises ReplacedError if `path` names another file by
        now, or none: what SQLite writes would be in none, or damage that one by its log.
        """
        if self.db.conn.in_transaction:
            with self.db.atomic():
                yield self.db.conn
            return
        self._patiently(lambda: self.db.conn.execute("BEGIN IMMEDIATE"))
        try:
            self._check_in_place()
            yield self.db.conn
            self._check_in_place()
            self._patiently(self.db.commit)  # without a write-ahead log it waits for readers
        except BaseException:
            self.db.rollback()
            raise
        _empty_log(self.db.conn)

    def _check_in_place(self) -> None:
        change = None if self.files is None else self.files.change()
        if change is not None:
            so = f"nothing more is written to it; `harness results recover --db {self.path}` takes in what ended"
            raise ReplacedError(f"{self.path} was {change} while it was in use: {so}")

    def _patiently(self, work: Callable[[], object]) -> None:
        patiently(work, self.path, self.while_locked)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Let every query of the block see the same state of the database."""
        with self.db.atomic():
            self._patiently(lambda: self.db.conn.execute("SELECT count(*) FROM sqlite_master").fetchone())
            yield self.db.conn


def open_store(path: Path | str) -> Store:
    """Open the store at `path` for writing. It is made if there is none, and brought up to date.

    Raises HarnessError if the file is another program's or was written by a newer version of the harness.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        conn, journal = open_writer(path, lambda conn: _check_ours(_database(conn, TRY_MS), path, may_be_empty=True))
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
            raise HarnessError(f"{path}: cannot be opened for writing ({error})") from error
        raise HarnessError(f"{path}: {_reason(error)}") from error
    try:
        db = _database(conn, TRY_MS)
        migrate(db, path, MIGRATIONS)
    except sqlite3.DatabaseError as error:
        conn.close()
        raise HarnessError(f"{path}: {_reason(error)}") from error
    except BaseException:
        conn.close()
        raise
    return Store(db, path, journal, files=_Files.at(path))


def open_reader(path: Path | str, *, updated: bool = False) -> Store:
    """Open the store at `path` read-only.

    With `updated`, a store of an older version is copied into memory and migrated there; the file stays as it is.
    Raises HarnessError if there is none, or one of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise HarnessError(f"{path}: no results database here; `harness run grid FILE` creates one")
    uri = path.resolve().as_uri()
    try:
        conn = _connect_reader(uri, path)
    except sqlite3.DatabaseError as error:
        raise HarnessError(f"{path}: {_reason(error)}") from error
    try:
        db = _database(conn, _BUSY_TIMEOUT_MS)
        _check_ours(db, path, may_be_empty=False)
        if updated and MIGRATIONS.pending(db):
            return _updated_in_memory(conn)
        if MIGRATIONS.pending(db):
            raise HarnessError(f"{path}: made by an older harness; `harness run grid` or `results merge` updates it")
        journal = str(conn.execute("PRAGMA journal_mode").fetchone()[0])
    except sqlite3.DatabaseError as error:
        conn.close()
        raise HarnessError(f"{path}: {_reason(error)}") from error
    except BaseException:
        conn.close()
        raise
    return Store(db, path, journal)


def _updated_in_memory(conn: sqlite3.Connection) -> Store:
    """Copy a store of an older version into memory and bring it up to this one."""
    memory = sqlite3.connect(":memory:")
    try:
        conn.backup(memory)
        db = _database(memory, _BUSY_TIMEOUT_MS)
        MIGRATIONS.apply(db)
    except BaseException:
        memory.close()
        raise
    finally:
        conn.close()
    return Store(db, None, "memory")


def open_memory() -> Store:
    """Open an empty store that lives in memory alone."""
    db = _database(sqlite3.connect(":memory:"), _BUSY_TIMEOUT_MS)
    MIGRATIONS.apply(db)
    return Store(db, None, "memory")


def migrate(db: Database, path: Path, migrations: Migrations) -> None:
    """Apply what is pending, each in a transaction of its own, each after a copy of the database beside it.

    The copy before migration NAME is `<database>.before-NAME`; a store that holds no trial yet is not copied.
    """
    for migration in migrations.pending(db):
        if "trial" in db.table_names() and db.conn.execute("SELECT 1 FROM trial").fetchone():
            _copy(db.conn, path.with_name(f"{path.name}.before-{migration.name}"))
        # two that open a new store at once do it one after the other
        patiently(lambda: db.conn.execute("BEGIN IMMEDIATE"), path)
        try:
            waiting = [m.name for m in migrations.pending(db)]
            if migration.name in waiting:
                migrations.apply(db, stop_before=waiting[1:])
            patiently(db.commit, path)
        except BaseException:
            db.rollback()
            raise
    _empty_log(db.conn)


def _empty_log(conn: sqlite3.Connection) -> None:
    """Move what is in the write-ahead log into the database file, as far as those who read now allow; never wait."""
    try:
        conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.OperationalError:  # what was committed is safe in the log
        _log.debug("the log cannot be moved into the database", exc_info=True)


def _database(conn: sqlite3.Connection, busy_timeout_ms: int) -> Database:
    """Set what SQLite keeps per connection, and wrap it. Plug-ins of sqlite-utils are not for this database."""
    conn.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute("PRAGMA synchronous = FULL")
    return Database(conn, execute_plugins=False, strict=True)


def _connect_reader(uri: str, path: Path) -> sqlite3.Connection:
    """Connect read-only, also if nothing can be written beside the file, and after a writer that was killed.

    A store in WAL mode in a read-only folder needs `immutable`, by which SQLite looks at the file alone: never while a
    log or a journal holds what the file lacks, nor because another has locked it.
    """
    try:
        return _probed(f"{uri}?mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            raise
        if _left_beside(path, "-journal"):
            return _after_a_crash(uri, path)
        if _left_beside(path, "-wal"):
            raise
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True)


def _after_a_crash(uri: str, path: Path) -> sqlite3.Connection:
    """Connect to read, after SQLite has taken back what a killed writer had half done."""
    try:
        return _probed(f"{uri}?mode=rw", "PRAGMA query_only = ON")
    except sqlite3.OperationalError as error:
        words = "its writer was killed half way, and what it had half done cannot be taken back from here"
        raise HarnessError(f"{path}: {words} ({error})") from error


def _probed(uri: str, *before: str) -> sqlite3.Connection:
    """Connect, and read a first time: only then SQLite looks for locks, logs and journals."""
    conn = sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_MS / 1000)
    try:
        for statement in (*before, "SELECT count(*) FROM sqlite_master"):
            conn.execute(statement).fetchone()
    except BaseException:
        conn.close()
        raise
    return conn


def _left_beside(path: Path, ending: str) -> bool:
    """Return whether a database's log or journal holds anything."""
    real = path.resolve()
    log = real.with_name(f"{real.name}{ending}")
    return log.exists() and log.stat().st_size > 0


def _check_ours(db: Database, path: Path, *, may_be_empty: bool) -> None:
    """Refuse a database that another program or a newer harness made."""
    applied = [m.name for m in MIGRATIONS.applied(db)]
    if not applied:
        if not may_be_empty or set(db.table_names()) - {MIGRATIONS.migrations_table}:
            raise HarnessError(f"{path}: not a store of the harness")
        return
    newer = [name for name in applied if name not in known_migrations()]
    if newer:
        raise HarnessError(f"{path}: made by a newer harness (it has '{newer[-1]}'); update the harness")


def _copy(conn: sqlite3.Connection, path: Path) -> None:
    """Copy the database to `path`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # another may open the same store now
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(temporary)) as copy:
        conn.backup(copy)
    temporary.replace(path)


def _reason(error: sqlite3.DatabaseError) -> str:
    """Say in a few words what SQLite meant."""
    text = str(error)
    return "not a store of the harness" if "not a database" in text else f"cannot be used ({text})"


def lock_path(path: Path) -> Path:
    """Return the lock file of the database at `path`, the same by whatever link it is reached."""
    real = path.resolve()
    return real.with_name(f"{real.name}.lock")


@contextmanager
def driver_lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Be the one driver of the store at `path` during the block, or one of those that share it.

    Raises HarnessError, naming the pid, if another driver is at work. The lock ends with its process.
    """
    try:
        with hold(lock_path(path), shared=shared):
            yield
    except LockHeldError as error:
        message = f"{path} has a driver already ({holder_words(error.pid)}): wait until it ends, or stop it"
        raise HarnessError(message) from error
    except OSError as error:
        if error.filename == str(lock_path(path)):  # a file that nobody has asked for
            error.filename = str(path)
        raise


@contextmanager
def to_write_or_make(path: Path) -> Iterator[Store]:
    """Give the store at `path`, and be its one driver; a new store is there only if the block ends well.

    It is made in a temporary folder, in the nearest one that exists, so that nothing is left of one that fails.
    """
    if path.exists():
        with driver_lock(path), open_store(path) as store:
            yield store
        return
    beside = next(folder for folder in path.resolve().parents if folder.is_dir())
    try:
        folder = tempfile.mkdtemp(prefix=f".{path.name}.", dir=beside)
    except OSError as error:
        error.filename = str(path)  # and not one that nobody has asked for
        raise
    try:
        new = Path(folder) / path.name
        with open_store(new) as store:
            yield store
        with driver_lock(path):
            if path.exists():
                raise HarnessError(f"{path} was made by another program meanwhile: do it again")
            new.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
