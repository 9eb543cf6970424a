"""Where the store is if nobody says."""

import os
from pathlib import Path

DEFAULT_DB = Path("results/harness.db")


def default_db() -> Path:
    """Return $HARNESS_DB, or results/harness.db in the current folder."""
    return Path(os.environ.get("HARNESS_DB") or DEFAULT_DB)
