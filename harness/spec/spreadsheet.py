"""Texts in CSV files, which spreadsheets take for formulas if they begin like one."""

from typing import Any

_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_cell(value: Any) -> Any:
    """Return a value for a cell of a CSV file: a text that a spreadsheet would compute comes after an apostrophe.

    Numbers stay as they are, also those that are written as texts (-0.5, +1e-3, -inf).
    """
    if not isinstance(value, str) or not value.startswith(_BEGINNINGS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
