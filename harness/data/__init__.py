"""Datasets as tensors on a device."""

PUBLIC = ("acquire", "augment", "dataset", "locations", "own")
"""The modules that other folders may import (`tests/test_imports.py`)."""
