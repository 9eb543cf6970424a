"""Where a network goes next: files for other programs, how long it takes, what a compressor changed about it."""

PUBLIC = ("comparison", "export", "network", "place_study", "sites")
"""The modules that other folders may import (`tests/test_imports.py`)."""
