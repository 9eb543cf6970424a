"""Runs that other tools have recorded, taken into a store: tables of runs (CSV), MLflow's file store.

What is read becomes lines of the published format and is merged like these, checks included. Such runs have tables,
statistics and figures as any others. Nothing can make them again.
"""

PUBLIC = ("mlflow", "outside", "table")
"""The modules that other folders may import (`tests/test_imports.py`)."""
