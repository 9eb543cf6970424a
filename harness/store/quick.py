"""Importing sqlite-utils in a tenth of the time, for a process of ours: a command that a person waits for.

sqlite-utils imports pandas and numpy if they are installed, only to know their types of columns, which this store
never holds: 0.6 s for `harness results list`. A library must not do this to its user's process, so `harness.load` and
`harness.run` do not; the command line does.
"""

import sys

_HEAVY = ("pandas", "numpy")


def import_quickly() -> None:
    """Import sqlite-utils as if what is heavy, and not imported yet, were not installed."""
    hidden = [name for name in _HEAVY if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import of it raises ImportError
    try:
        import sqlite_utils  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]
