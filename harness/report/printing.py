"""Numbers as a table prints them: unit, digits, rounding or truncation, and the difference from a printed
value.

Decimal arithmetic throughout, so that 12,855,498 / 2^20 is rounded once, and a difference is that of what
is printed.
"""

import math
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Literal

from harness.report.tables.table import Column, NumberFormat
from harness.stats.tests import without_rounding_noise

_PER_UNIT = {
    "fraction": Decimal(1),
    "percent": Decimal("0.01"),
    "dB": Decimal(1),
    "s": Decimal(1),
    "count": Decimal(1),
    "M": Decimal(2**20),
}
_MOST_DIGITS = 7
_LEAST_MANTISSA = 2
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"


def in_unit(value: float, column: Column) -> float:
    """Return a stored value in the column's unit, unrounded (nan and infinities stay what they are)."""
    return float(Decimal(repr(value)) / _PER_UNIT[column.unit]) if math.isfinite(value) else value


def fitted(form: NumberFormat, values: Iterable[float]) -> NumberFormat:
    """Return how to print these values so that the first digit of their spread shows: as `form` says, if that does.

    Values that are all the same have no spread, so that their own first digit shows. If that takes more than
    `_MOST_DIGITS` decimal places, powers of ten are written.
    """
    numbers = [value for value in values if math.isfinite(value)]
    largest = max(map(abs, numbers), default=0.0)
    if not largest:
        return form
    spread = without_rounding_noise(max(numbers) - min(numbers), largest) or largest
    last = math.floor(math.log10(spread))  # the power of ten of the last digit that is needed
    significant = math.floor(math.log10(largest)) - last
    digits = significant if form.style == "scientific" else -last
    if digits <= form.digits:
        return form
    if form.style == "fixed" and digits > _MOST_DIGITS:
        return form.model_copy(update={"style": "scientific", "digits": max(significant, _LEAST_MANTISSA)})
    return form.model_copy(update={"digits": digits})


def printed(value: float, column: Column) -> str:
    """Return a value (in the column's unit) as the column prints it, suffix included: 12.25996 ->
    "12.260M".
    """
    return f"{number(value, column.format, column.rounding)}{column.format.suffix if math.isfinite(value) else ''}"


def number(value: float, form: NumberFormat, rounding: Literal["round", "truncate"] = "round") -> str:
    """Return a number in a format, without the suffix; nan and infinities as they are.

    What would print as zero and is none has a power of ten: 3.1e-9 with four digits is "3.10e-9".
    """
    if not math.isfinite(value):
        return str(value)
    exact, mode = Decimal(repr(value)), ROUND_DOWN if rounding == "truncate" else ROUND_HALF_UP
    if form.style == "scientific":
        return _scientific(exact, form.digits, mode)
    shown = exact.quantize(Decimal(1).scaleb(-form.digits), mode)
    return f"{shown:f}" if shown or not exact else _scientific(exact, _LEAST_MANTISSA, mode)


def _scientific(exact: Decimal, digits: int, mode: str) -> str:
    exponent, step = exact.adjusted() if exact else 0, Decimal(1).scaleb(-digits)
    mantissa = exact.scaleb(-exponent).quantize(step, mode)
    if abs(mantissa) >= 10:  # 9.9996 was rounded up
        exponent += 1
        mantissa = exact.scaleb(-exponent).quantize(step, mode)
    return f"{mantissa:f}e{exponent}"


def fixed(value: float, digits: int) -> str:
    """Return a number with so many decimal places, half rounded up; as `number` else."""
    return number(value, NumberFormat(digits=digits))


def count_text(count: float, million: int = 10**6) -> str:
    """Return a count with four digits: "12.26 M"; below a tenth of a million in full: "52,138"."""
    if not math.isfinite(count) or abs(count) < million / 10:
        return f"{count:,.0f}"
    size, letter = (million, "M") if abs(count) < 1000 * million else (1000 * million, "G")
    shown = count / size
    return f"{fixed(shown, max(0, 3 - math.floor(math.log10(abs(shown)))))} {letter}"


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
