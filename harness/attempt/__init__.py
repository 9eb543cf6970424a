"""What passes between the driver and a worker, by files in an attempt's folder."""

PUBLIC = ("checkpoints", "data", "items", "messages", "metrics", "samples")
"""The modules that other folders may import (`tests/test_imports.py`)."""
