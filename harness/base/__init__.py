"""What everything else is built on, and what imports nothing of ours."""

PUBLIC = (
    "checks",
    "clock",
    "collection",
    "errors",
    "extras",
    "files",
    "keys",
    "locks",
    "machine",
    "processes",
    "processor",
    "sealed",
    "source",
    "spreadsheet",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
