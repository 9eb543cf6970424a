"""What SQLite raises, by what it means here: for those parts of the harness that hold no SQL."""

import sqlite3

from harness.base.errors import HarnessError

DatabaseError = sqlite3.DatabaseError
"""Of a file that is damaged, in use, or no database at all."""


class ReplacedError(sqlite3.OperationalError):
    """The file of an open store was removed or replaced meanwhile. It is not a result's fault."""


REFUSED: tuple[type[Exception], ...] = (
    HarnessError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
)
"""What reading or storing a result raises if it is the result that is at fault: not a full disk, not a lock."""
