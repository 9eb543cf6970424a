"""What is learnt: a network's data, loss and metrics."""

PUBLIC = ("base", "denoising", "parts", "precision", "quality")
"""The modules that other folders may import (`tests/test_imports.py`)."""
