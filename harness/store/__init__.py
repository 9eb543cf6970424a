"""What was found: the database, its one writer, its readers; all SQL."""

PUBLIC = (
    "acceptance",
    "artifact_files",
    "artifacts",
    "ask",
    "browse",
    "circumstances",
    "connection",
    "diff",
    "errors",
    "export",
    "find",
    "flat",
    "lock",
    "merge",
    "place",
    "queries",
    "quick",
    "records",
    "trusted",
    "verify",
    "writer",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
