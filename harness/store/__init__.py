"""What was found: the database, its one writer, its readers; all SQL."""

import os
from pathlib import Path

PUBLIC = (
    "acceptance",
    "access",
    "artifacts",
    "circumstances",
    "claims",
    "connection",
    "described",
    "diff",
    "errors",
    "export",
    "find",
    "flat",
    "made_twice",
    "merge",
    "published",
    "queries",
    "quick",
    "records",
    "trusted",
    "verify",
    "writer",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""

DEFAULT_DB = Path("results/harness.db")


def default_db() -> Path:
    """Return $HARNESS_DB, or results/harness.db in the current folder."""
    return Path(os.environ.get("HARNESS_DB") or DEFAULT_DB)
