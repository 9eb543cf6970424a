"""Parameters, variables and multiply-accumulates of a network: `harness.cost.count`."""

PUBLIC = ("count", "narrow")
"""The modules that other folders may import (`tests/test_imports.py`)."""
