"""Search with Optuna: where compressors go, and the arguments of a person's own function.

    search file → Space of placements → Optuna proposes one → its runs, by the driver, into the store → Optuna is told

The harness's store is the one truth: whatever Optuna knows is rebuilt from it at each start. A search sees the
validation split alone; the study that it writes at its end is what meets the test set.
"""

PUBLIC = ("ledger", "dashboard", "file", "front", "run")
"""The modules that other folders may import (`tests/test_imports.py`)."""
