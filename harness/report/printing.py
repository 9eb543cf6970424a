"""Numbers as a table prints them: unit, digits, rounding or truncation, and the difference from a printed
value.

Decimal arithmetic throughout, so that 12,855,498 / 2^20 is rounded once, and a difference is that of what
is printed.
"""

import math
from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from harness.report.tables.table import Column

_PER_UNIT = {
    "fraction": Decimal(1),
    "percent": Decimal("0.01"),
    "dB": Decimal(1),
    "s": Decimal(1),
    "count": Decimal(1),
    "M": Decimal(2**20),
}
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


def in_unit(value: float, column: Column) -> float:
    """Return a stored value in the column's unit, unrounded (nan and infinities stay what they are)."""
    return float(Decimal(repr(value)) / _PER_UNIT[column.unit]) if math.isfinite(value) else value


def printed(value: float, column: Column) -> str:
    """Return a value (in the column's unit) as the column prints it, suffix included: 12.25996 ->
    "12.260M".
    """
    if not math.isfinite(value):
        return str(value)
    form = column.format
    number = Decimal(repr(value))
    mode = ROUND_DOWN if column.rounding == "truncate" else ROUND_HALF_UP
    step = Decimal(1).scaleb(-form.digits)
    if form.style == "fixed":
        return f"{number.quantize(step, mode):f}{form.suffix}"
    exponent = number.adjusted() if number else 0
    mantissa = number.scaleb(-exponent).quantize(step, mode)
    if abs(mantissa) >= 10:  # 9.9996 was rounded up
        exponent += 1
        mantissa = number.scaleb(-exponent).quantize(step, mode)
    return f"{mantissa:f}e{exponent}{form.suffix}"


def fixed(value: float, digits: int) -> str:
    """Return a number with so many digits behind the point, half rounded up; nan as it is."""
    if not math.isfinite(value):
        return str(value)
    return f"{Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):f}"


def as_printed(value: float, column: Column) -> float:
    """Return the number that `printed` shows."""
    return float(printed(value, column).removesuffix(column.format.suffix))


def difference(ours: float, paper: str, column: Column) -> str:
    """Return printed(ours) - paper, signed, as the column prints it; "=" where both print one number."""
    if not math.isfinite(ours):
        return NOTHING
    suffix = column.format.suffix
    gap = Decimal(printed(ours, column).removesuffix(suffix)) - Decimal(paper.removesuffix(suffix))
    if not gap:
        return "="
    sign = "+" if gap > 0 else MINUS
    if column.format.style == "scientific":
        return f"{sign}{abs(gap).normalize():.{column.format.digits}e}".replace("e+", "e") + suffix
    return f"{sign}{abs(gap):f}{suffix}"


def in_words(value: object) -> str:
    """Return a setting's value in words: {kind: sgd, learning_rate: 0.05} as "sgd, learning_rate 0.05"."""
    if isinstance(value, Mapping):
        return ", ".join(in_words(v) if k == "kind" else f"{k} {in_words(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return " ".join(in_words(item) for item in value)
    return str(value)
