"""Tests over seeds and over images; it knows no store and no paper."""

PUBLIC = (
    "aggregate",
    "bayesian",
    "comparison",
    "front",
    "importance",
    "mixed",
    "power",
    "ranks",
    "sequential",
    "simulation",
    "tests",
    "verdicts",
)
"""The modules that other folders may import (`tests/test_imports.py`)."""
