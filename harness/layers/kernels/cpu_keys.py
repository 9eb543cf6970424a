"""Keys for top-k on the CPU: made from maps, sorted by 16, and read again; see `cpu_networks` for the sorting.

A key is a float64 that holds value and channel, so that one minimum and one maximum move both and ties have one order:
2⁵² + (the fp32 value as an ordered integer) · 2¹⁶ + (2¹⁶ − 1 − channel). A larger key is earlier: for the smallest
values the ordered integer is complemented. NaN is above every number, either way; −0 counts as 0. Padding is 0.0.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from llvmlite import ir

from harness.layers.kernels.cpu_layout import LANES64
from harness.layers.kernels.cpu_networks import row_at, write_sorted
from harness.layers.kernels.cpu_vectors import (
    F32,
    F64,
    I16,
    I32,
    I64,
    as_float,
    constant,
    load,
    offset,
    shuffled,
    splat,
    store,
    vector,
    void,
    word,
)

_EXPONENT = 0x433 << 52  # of 2⁵²
_LAST = 0xFFFF


def _key(builder: Any, ordered: Any, field: Any) -> Any:
    """Return the key of an ordered integer (32 bits); `field` has the exponent and the channel's part."""
    high = builder.shl(builder.zext(ordered, vector(I64, LANES64)), constant(I64, LANES64, 16))
    return builder.bitcast(builder.or_(high, field), vector(F64, LANES64))


def _ordered(builder: Any, bits: Any, low: Any) -> Any:
    """Return fp32's bits as an integer of the same order; complemented if `low` is all ones. Neither NaN nor −0."""
    sign = builder.ashr(bits, constant(I32, LANES64, 31))
    return builder.xor(builder.xor(bits, builder.or_(sign, constant(I32, LANES64, 1 << 31))), low)


def _ordered_special(builder: Any, bits: Any, low: Any) -> tuple[Any, Any]:
    """Return `_ordered` of any fp32's bits, and the lanes that hold NaN or −0."""
    value = builder.bitcast(bits, vector(F32, LANES64))
    nan = builder.fcmp_unordered("uno", value, value)
    negative_zero = builder.icmp_unsigned("==", bits, constant(I32, LANES64, 1 << 31))
    bits = builder.select(negative_zero, constant(I32, LANES64, 0), bits)
    ordered = builder.select(nan, builder.not_(low), _ordered(builder, bits, low))
    return ordered, builder.or_(nan, negative_zero)


def _special_lanes(builder: Any, rows: Sequence[Any]) -> Any:
    """Return the lanes that hold a NaN or a −0, of an even number of vectors of fp32's bits.

    A comparison finds NaN in either of two vectors, and −0 is the least of all integers.
    """
    values = [builder.bitcast(bits, vector(F32, LANES64)) for bits in rows]
    pairs = zip(values[::2], values[1::2], strict=True)
    nan = reduce(builder.or_, (builder.fcmp_unordered("uno", a, b) for a, b in pairs))
    least = reduce(lambda a, b: builder.select(builder.icmp_signed("<", a, b), a, b), rows)
    return builder.or_(nan, builder.icmp_unsigned("==", least, constant(I32, LANES64, 1 << 31)))


def _fields(builder: Any, first: Any) -> list[Any]:
    """Return what each of 16 channels adds to its keys, the first of which is number `first`."""
    top = splat(builder, builder.sub(I64(_EXPONENT + _LAST), first), LANES64)
    return [builder.sub(top, constant(I64, LANES64, i)) for i in range(16)]


def _encode16(builder: Any, rows: Sequence[Any], keys: Any, first: Any, smallest: Any) -> Any:
    """Write the sorted keys of 16 channels, and return nonzero (64 bits) if one is wrong: for NaN or −0."""
    low = splat(builder, builder.trunc(smallest, I32), LANES64)
    fields = _fields(builder, first)
    made = [_key(builder, _ordered(builder, bits, low), field) for bits, field in zip(rows, fields, strict=True)]
    write_sorted(builder, made, keys)
    return builder.zext(builder.bitcast(_special_lanes(builder, rows), ir.IntType(LANES64)), I64)


def _as_fp32_bits(builder: Any, bits: Any) -> Any:
    return builder.bitcast(as_float(builder, bits, LANES64), vector(I32, LANES64))


@word("encode16_rows", 5)
def encode16_rows(builder: Any, element: Any, x: Any, step: Any, keys: Any, first: Any, smallest: Any) -> Any:
    """Sort 16 whole channels whose pixels are neighbours in memory (NCHW), `step` bytes apart: see `_encode16`."""
    rows = [load(builder, offset(builder, x, i, step), element, LANES64) for i in range(16)]
    return _encode16(builder, [_as_fp32_bits(builder, bits) for bits in rows], keys, first, smallest)


@void("encode16_staged", 6)
def encode16_staged(
    builder: Any, element: Any, x: Any, count: Any, keys: Any, first: Any, smallest: Any, special: Any
) -> None:
    """Sort up to 16 channels of any values, staged as 16 rows of `LANES64`; rows from `count` on become padding.

    `special` is the address of a 64-bit word that becomes nonzero if a NaN or a −0 is met.
    """
    step = I64(LANES64 * element.width // 8)
    low = splat(builder, builder.trunc(smallest, I32), LANES64)
    made, seen = [], ir.Constant(vector(ir.IntType(1), LANES64), [0] * LANES64)
    for i, field in enumerate(_fields(builder, first)):
        bits = _as_fp32_bits(builder, load(builder, offset(builder, x, i, step), element, LANES64))
        there = splat(builder, builder.icmp_signed("<", I64(i), count), LANES64)
        ordered, met = _ordered_special(builder, bits, low)
        made.append(builder.select(there, _key(builder, ordered, field), constant(F64, LANES64, 0.0)))
        seen = builder.or_(seen, builder.and_(met, there))
    write_sorted(builder, made, keys)
    mask = builder.zext(builder.bitcast(seen, ir.IntType(LANES64)), I64)
    store(builder, builder.or_(load(builder, special, I64, 1), mask), special)


def transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose a square of `LANES64` vectors of `LANES64` elements by interleaving halves."""
    half = LANES64 // 2
    while half:
        # Swap blocks of `half`: element j of row i with element j - half of row i + half.
        low = [j if not j & half else LANES64 + (j & ~half) for j in range(LANES64)]
        high = [j | half if not j & half else LANES64 + j for j in range(LANES64)]
        rows = [
            shuffled(builder, rows[i], rows[i + half], low)
            if not i & half
            else shuffled(builder, rows[i - half], rows[i], high)
            for i in range(LANES64)
        ]
        half //= 2
    return rows


@word("encode16_pixels", 5)
def encode16_pixels(builder: Any, element: Any, x: Any, step: Any, keys: Any, first: Any, smallest: Any) -> Any:
    """Sort 16 whole channels, neighbours in memory (channels-last), pixels `step` bytes apart: see `_encode16`."""
    rows: list[Any] = []
    for block in range(0, 16, LANES64):
        start = builder.add(x, I64(block * element.width // 8))
        pixels = [load(builder, offset(builder, start, p, step), element, LANES64) for p in range(LANES64)]
        rows += transposed(builder, [_as_fp32_bits(builder, bits) for bits in pixels])
    return _encode16(builder, rows, keys, first, smallest)


def _decode(builder: Any, element: Any, key: Any, smallest: Any) -> tuple[Any, Any]:
    """Return the maps' bits of keys, and the channels (16 bits)."""
    bits = builder.bitcast(key, vector(I64, LANES64))
    channel = builder.not_(builder.trunc(bits, vector(I16, LANES64)))
    ordered = builder.trunc(builder.lshr(bits, constant(I64, LANES64, 16)), vector(I32, LANES64))
    ordered = builder.xor(ordered, splat(builder, builder.trunc(smallest, I32), LANES64))
    negative = builder.ashr(ordered, constant(I32, LANES64, 31))  # all ones: the value is not negative
    value = builder.xor(ordered, builder.or_(builder.not_(negative), constant(I32, LANES64, 1 << 31)))
    if element.width == 16:
        value = builder.trunc(builder.lshr(value, constant(I32, LANES64, 16)), vector(I16, LANES64))
    return value, channel


def _narrowed(builder: Any, channel: Any, width: int) -> Any:
    return builder.trunc(channel, vector(ir.IntType(width), LANES64)) if width < 16 else channel


def _decode_row(width: int) -> Any:
    """(keys, y, taken, smallest): one row's values and channels (of `width` bits), pixels neighbours in memory."""

    @void(f"decode_row_{width}", 4)
    def emit(builder: Any, element: Any, keys: Any, y: Any, taken: Any, smallest: Any) -> None:
        value, channel = _decode(builder, element, load(builder, keys, F64, LANES64), smallest)
        store(builder, value, y)
        store(builder, _narrowed(builder, channel, width), taken)

    return emit


def _store_pixels(builder: Any, rows: list[Any], out: Any, step: Any) -> None:
    """Store `LANES64` rows (maps) of as many integers (pixels): maps are neighbours, pixels `step` bytes apart."""
    width = rows[0].type.element.width
    if width == 32:
        for p, pixel in enumerate(transposed(builder, rows)):
            store(builder, pixel, offset(builder, out, p, step))
        return
    together = min(LANES64, 64 // width)  # maps that fill one word: cheaper than to shuffle what is small
    words = vector(ir.IntType(together * width), LANES64)
    for first in range(0, LANES64, together):
        packed = builder.zext(rows[first], words)
        for i in range(1, together):
            wide = builder.zext(rows[first + i], words)
            packed = builder.or_(packed, builder.shl(wide, constant(words.element, LANES64, i * width)))
        start = builder.add(out, I64(first * width // 8))
        for p in range(LANES64):
            store(builder, builder.extract_element(packed, I32(p)), offset(builder, start, p, step))


def _decode_pixels(width: int) -> Any:
    """(keys, y, taken, step, smallest): `LANES64` rows, maps neighbours in memory, pixels `step` values apart."""

    @void(f"decode_pixels_{width}", 5)
    def emit(builder: Any, element: Any, keys: Any, y: Any, taken: Any, step: Any, smallest: Any) -> None:
        values, channels = [], []
        for i in range(LANES64):
            value, channel = _decode(builder, element, load(builder, row_at(builder, keys, i), F64, LANES64), smallest)
            values.append(value)
            channels.append(_narrowed(builder, channel, width))
        _store_pixels(builder, values, y, builder.mul(step, I64(element.width // 8)))
        _store_pixels(builder, channels, taken, builder.mul(step, I64(width // 8)))

    return emit


decode_row8, decode_row16 = _decode_row(8), _decode_row(16)
decode_pixels8, decode_pixels16 = _decode_pixels(8), _decode_pixels(16)
