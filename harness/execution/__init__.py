"""Who runs what: the plan, the driver, executors, and what is made again."""

PUBLIC = (
    "device",
    "doctor",
    "driver",
    "drivers",
    "estimate",
    "executors",
    "feeds",
    "intake",
    "interruptions",
    "jobs",
    "libraries",
    "lines",
    "options",
    "plan",
    "register",
    "renew",
    "rerun",
    "timing",
    "trained",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
