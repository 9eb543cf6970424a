"""What is run: trials with their keys, and the declarations that they are made of."""

PUBLIC = (
    "attempt_digest",
    "classical",
    "command",
    "compressors",
    "conditions",
    "counts",
    "datasets",
    "denoisers",
    "evaluations",
    "function",
    "inputs",
    "models",
    "named_runs",
    "overrides",
    "own_data",
    "plugin_models",
    "protocol",
    "resolve",
    "tasks",
    "trial",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
