"""Texts in CSV files, which spreadsheets take for formulas if they begin like one, and terminals for commands."""

from typing import Any

from harness.base.errors import printable

_BEGINNINGS = ("=", "+", "-", "@", "\t", "\n")


def csv_cell(value: Any) -> Any:
    """Return a value for a cell of a CSV file: a text that a spreadsheet would compute comes after an apostrophe.

    Control characters are shown, as \\x1b; line breaks stay, which a cell in quotes may have. Numbers stay as they are,
    also those that are written as texts (-0.5, +1e-3, -inf).
    """
    if not isinstance(value, str):
        return value
    text = printable(value)
    if not text.startswith(_BEGINNINGS):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
