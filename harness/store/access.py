"""How a writer gets at a database: it waits for locks, and has the journal that the file system allows.

Write-ahead logging lets readers go on while the writer writes. It needs memory that all its users share, which hosts on
a network file system do not, and which some file systems do not have at all: there the store has a rollback journal, as
safe, but readers wait for the writer.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from harness.base.machine import file_system

_log = logging.getLogger(__name__)
TRY_MS = 100
"""How long SQLite itself waits for a lock in a writer's connection; in this time no Ctrl-C is heard."""
_SAY_AFTER_S = 2.0


class GaveUpWaitingError(sqlite3.OperationalError):
    """What waited for a locked store was told to wait no longer. It is not a result's fault, nor the store's."""


def wait_on() -> None:
    """Do nothing while a store is locked but to wait on; Ctrl-C ends it."""


def patiently(work: Callable[[], object], path: Path | None, while_locked: Callable[[], None] = wait_on) -> None:
    """Do what needs a lock as soon as the other programs that hold one let it, and say once that one waits for them.

    SQLite would wait in one piece, deaf to Ctrl-C. Raises what `while_locked` raises.
    """
    begun = time.monotonic()
    said = False
    while True:
        try:
            work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        if not said and time.monotonic() - begun >= _SAY_AFTER_S:
            said = True
            _log.warning("%s is locked by another program: waiting until it is free; what is running continues", path)
        while_locked()
        time.sleep(TRY_MS / 1000)


def open_writer(path: Path, check: Callable[[sqlite3.Connection], None]) -> tuple[sqlite3.Connection, str]:
    """Connect to a database, `check` it, and choose its journal. Return also the journal mode in force, wal or delete.

    Raises what `check` raises, before anything is changed, and sqlite3.DatabaseError.
    """
    try:
        return _opened(path, check, shared_memory=True)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NO_SHARED_MEMORY:
            raise
    return _opened(path, check, shared_memory=False)


_NO_SHARED_MEMORY = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL})
"""How SQLite fails at a write-ahead log if files cannot be mapped into memory: not when it switches, when it looks."""


def _opened(
    path: Path, check: Callable[[sqlite3.Connection], None], *, shared_memory: bool
) -> tuple[sqlite3.Connection, str]:
    conn = sqlite3.connect(path, timeout=TRY_MS / 1000)
    try:
        if not shared_memory:  # who is alone with a store reads its log without any
            conn.execute("PRAGMA locking_mode = EXCLUSIVE")
        patiently(lambda: check(conn), path)
        return conn, _choose_journal(conn, path, shared_memory=shared_memory)
    except BaseException:
        conn.close()
        raise


def _choose_journal(conn: sqlite3.Connection, path: Path, *, shared_memory: bool = True) -> str:
    """Switch to write-ahead logging, or to a rollback journal if the file system cannot have it, and say so."""
    is_new, before, kind = not _objects(conn, path), _journal(conn), file_system(path)
    if shared_memory and not kind.network:
        _switch(conn, path, "WAL")
        mode = _journal(conn)
        if mode != "wal":
            _log.warning("%s: its file system has no write-ahead logging: %s", path, _INSTEAD)
        return mode
    _switch(conn, path, "DELETE")
    mode = _journal(conn)
    if not kind.network:
        _log.warning("%s: its file system has no write-ahead logging: %s", path, _INSTEAD)
    elif mode == "wal":
        _log.warning("%s is on %s, where write-ahead logging is for one host alone, and is in use so", path, kind.kind)
    elif is_new or before == "wal":
        _log.warning("%s is on %s, a network file system: %s", path, kind.kind, _INSTEAD)
    return mode


_INSTEAD = "rollback journal; readers will wait for the writer"


def _switch(conn: sqlite3.Connection, path: Path, mode: str) -> None:
    """Switch to a journal mode; what was in force stays if that is refused, or another program has the store open."""
    try:
        if mode == "WAL":
            patiently(lambda: conn.execute("PRAGMA journal_mode = WAL").fetchone(), path)
        else:
            conn.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError:
        _log.debug("the journal stays as it is", exc_info=True)
    conn.execute("PRAGMA locking_mode = NORMAL")
    _objects(conn, path)  # the first look at a new log; and a lock of one who was alone is given back


def _journal(conn: sqlite3.Connection) -> str:
    return str(conn.execute("PRAGMA journal_mode").fetchone()[0])


def _objects(conn: sqlite3.Connection, path: Path) -> int:
    """Return how many tables, views and indexes there are."""
    found: list[int] = []
    patiently(lambda: found.append(conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]), path)
    return found[0]
