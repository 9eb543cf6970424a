"""Tests that the harness ships, for what other packages add to it (`harness.testing.executors`). They need pytest."""

PUBLIC: tuple[str, ...] = ()
"""The modules that other folders of the harness may import (`tests/test_imports.py`)."""
