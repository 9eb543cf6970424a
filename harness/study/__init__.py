"""The language of study files."""

PUBLIC = ("ablate", "claims", "first", "grid", "include", "names", "study", "study_file")
"""The modules that other folders may import (`tests/test_imports.py`)."""
