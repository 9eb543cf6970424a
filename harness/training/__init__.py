"""One attempt at a network or a function, in the process that makes it."""

PUBLIC = ("attempt", "checkpoint", "environment", "loop", "observe", "process", "recipe", "setup", "streams")
"""The modules that other folders may import (`tests/test_imports.py`)."""
