"""Speed: operators, an epoch, the harness around it and its store, each beside what people use otherwise."""

PUBLIC = (
    "clock",
    "denoise",
    "dispatch",
    "epoch",
    "loader",
    "ops",
    "ops_plot",
    "overhead",
    "report",
    "startup",
    "store",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
