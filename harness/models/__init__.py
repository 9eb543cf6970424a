"""One network per file, each with its named sites. `harness.models.build` makes them from a configuration."""

PUBLIC = ("build", "foreign", "model_file", "site_costs", "sites", "weights")
"""The modules that other folders may import (`tests/test_imports.py`)."""
