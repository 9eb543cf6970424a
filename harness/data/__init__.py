"""Datasets as tensors on a device."""

PUBLIC = ("acquire", "augment", "crops", "dataset", "locations", "own", "photographs")
"""The modules that other folders may import (`tests/test_imports.py`)."""
