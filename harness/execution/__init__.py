"""Who runs what: the plan, the driver, executors, and what is made again."""

PUBLIC = (
    "calibrate",
    "device",
    "doctor",
    "driver",
    "estimate",
    "executors",
    "interruptions",
    "libraries",
    "lines",
    "options",
    "plan",
    "recover",
    "register",
    "rerun",
    "timing",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
