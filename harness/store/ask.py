"""A person's own SQL on a store: it reads, and SQLite itself refuses all else.

The file is opened read-only, and an authorizer denies every action but reading: no ATTACH, which would make files, no
temporary tables, no PRAGMA that sets something.
"""

import sqlite3
from dataclasses import dataclass
from typing import Any

from harness.base.errors import HarnessError
from harness.store.connection import Store

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_PRAGMAS = frozenset({"table_info", "table_list", "index_list", "foreign_key_list"})


@dataclass(frozen=True)
class Answer:
    """The rows that a query found."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def ask(store: Store, sql: str) -> Answer:
    """Return what a query finds. Raises HarnessError for one that is wrong or would do more than read."""
    conn = store.db.conn
    conn.set_authorizer(_authorize)
    try:
        cursor = conn.execute(sql)
        if cursor.description is None:
            raise HarnessError(
                "that is no query: write SELECT … (`SELECT name, sql FROM sqlite_master` lists the tables)"
            )
        return Answer(tuple(column[0] for column in cursor.description), cursor.fetchall())
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY}:
            raise HarnessError(f"a query may only read ({error}): results change by run and merge alone") from error
        raise HarnessError(f"the query cannot be answered: {' '.join(str(error).split())}") from error
    finally:
        conn.set_authorizer(None)


def _authorize(action: int, name: str | None, _argument: str | None, _database: str | None, _by: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and name in _PRAGMAS):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
