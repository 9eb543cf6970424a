"""Feature pooling by pooling across channels on the CPU: forward and backward, NCHW and channels-last.

A row is one group of maps of one image: s·H·W values in, H·W out (NCHW), or the s channels of one pixel in, one out
(channels-last, where all of memory is one run of such groups). Everything is an address or a count; `kind` is any
integer of the maps' size (32 bits: fp32, 16: bf16). `flip` turns the sign, so that the minimum is a maximum too.
Positions are bytes.
"""

from typing import Any

from llvmlite import ir
from numba import njit

from harness.layers.kernels.cpu_vectors import (
    I8,
    I32,
    I64,
    OPTIONS,
    as_float,
    better,
    constant,
    load,
    next_part,
    offset,
    shuffled,
    splat,
    store,
    vector,
    void,
    word_at,
)


def _largest(builder: Any, channels: list[Any], flip: Any, lanes: int) -> tuple[Any, Any]:
    """Return the largest of the channels' vectors (bits, sign turned), and its position (32 bits)."""
    best = builder.xor(channels[0], flip)
    best_value, position = as_float(builder, best, lanes), constant(I32, lanes, 0)
    for number, channel in enumerate(channels[1:], 1):
        bits = builder.xor(channel, flip)
        value = as_float(builder, bits, lanes)
        take = better(builder, value, best_value)
        best = builder.select(take, bits, best)
        best_value = builder.select(take, value, best_value)
        position = builder.select(take, constant(I32, lanes, number), position)
    return best, position


def _flip(builder: Any, flip: Any, element: Any, lanes: int) -> Any:
    return splat(builder, builder.trunc(flip, element), lanes)


def _finish(builder: Any, best: Any, position: Any, flip: Any, y: Any, taken: Any, lanes: int) -> None:
    store(builder, builder.xor(best, flip), y)
    store(builder, builder.trunc(position, vector(I8, lanes)), taken)


def _forward_rows(lanes: int, stride: int) -> Any:
    """(x, y, taken, step, flip): `lanes` pixels of `stride` maps that lie `step` bytes apart."""

    @void(f"forward_rows_{lanes}_{stride}", 5)
    def emit(builder: Any, element: Any, x: Any, y: Any, taken: Any, step: Any, flip: Any) -> None:
        flips = _flip(builder, flip, element, lanes)
        channels = [load(builder, offset(builder, x, j, step), element, lanes) for j in range(stride)]
        best, position = _largest(builder, channels, flips, lanes)
        _finish(builder, best, position, flips, y, taken, lanes)

    return emit


def _forward_more(lanes: int) -> Any:
    """(x, y, taken, number, flip): take map `number` into account in what is already in y and taken."""

    @void(f"forward_more_{lanes}", 5)
    def emit(builder: Any, element: Any, x: Any, y: Any, taken: Any, number: Any, flip: Any) -> None:
        flips = _flip(builder, flip, element, lanes)
        bits, best = load(builder, x, element, lanes), load(builder, y, element, lanes)
        take = better(
            builder,
            as_float(builder, builder.xor(bits, flips), lanes),
            as_float(builder, builder.xor(best, flips), lanes),
        )
        position = load(builder, taken, I8, lanes)
        store(builder, builder.select(take, bits, best), y)
        here = splat(builder, builder.trunc(number, I8), lanes)
        store(builder, builder.select(take, here, position), taken)

    return emit


def _forward_flat(lanes: int, stride: int) -> Any:
    """(x, y, taken, flip): `lanes` groups of `stride` neighbours in memory."""

    @void(f"forward_flat_{lanes}_{stride}", 4)
    def emit(builder: Any, element: Any, x: Any, y: Any, taken: Any, flip: Any) -> None:
        flips = _flip(builder, flip, element, lanes)
        whole = load(builder, x, element, lanes * stride)
        unused = ir.Constant(whole.type, ir.Undefined)
        channels = [shuffled(builder, whole, unused, list(range(j, lanes * stride, stride))) for j in range(stride)]
        best, position = _largest(builder, channels, flips, lanes)
        _finish(builder, best, position, flips, y, taken, lanes)

    return emit


def _backward_rows(lanes: int) -> Any:
    """(g, taken, out, step, stride): the gradient to the map that was taken, zero to the others."""

    @void(f"backward_rows_{lanes}", 5)
    def emit(builder: Any, element: Any, g: Any, taken: Any, out: Any, step: Any, stride: Any) -> None:
        gradient, position = load(builder, g, element, lanes), load(builder, taken, I8, lanes)
        before = builder.block
        body, after = builder.append_basic_block("map"), builder.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        number, address = builder.phi(I64), builder.phi(I64)
        here = splat(builder, builder.trunc(number, I8), lanes)
        zero = constant(element, lanes, 0)
        store(builder, builder.select(builder.icmp_unsigned("==", position, here), gradient, zero), address)
        following, further = builder.add(number, I64(1)), builder.add(address, step)
        for phi, first, later in ((number, I64(0), following), (address, out, further)):
            phi.add_incoming(first, before)
            phi.add_incoming(later, body)
        builder.cbranch(builder.icmp_unsigned("<", following, stride), body, after)
        builder.position_at_end(after)

    return emit


def _backward_flat(lanes: int, stride: int) -> Any:
    """(g, taken, out): `lanes` groups of `stride` neighbours in memory."""

    @void(f"backward_flat_{lanes}_{stride}", 3)
    def emit(builder: Any, element: Any, g: Any, taken: Any, out: Any) -> None:
        order = [i // stride for i in range(lanes * stride)]
        gradient, position = load(builder, g, element, lanes), load(builder, taken, I8, lanes)
        gradient = shuffled(builder, gradient, ir.Constant(gradient.type, ir.Undefined), order)
        position = shuffled(builder, position, ir.Constant(position.type, ir.Undefined), order)
        here = ir.Constant(position.type, [i % stride for i in range(lanes * stride)])
        zero = constant(element, lanes * stride, 0)
        store(builder, builder.select(builder.icmp_unsigned("==", position, here), gradient, zero), out)

    return emit


_rows1_1, _rows4_2, _rows4_4 = _forward_rows(1, 1), _forward_rows(4, 2), _forward_rows(4, 4)
_rows4_1, _rows8_1, _rows8_2, _rows8_4 = (
    _forward_rows(4, 1),
    _forward_rows(8, 1),
    _forward_rows(8, 2),
    _forward_rows(8, 4),
)
_more1, _more4, _more8 = _forward_more(1), _forward_more(4), _forward_more(8)
_flat8_2, _flat8_4 = _forward_flat(8, 2), _forward_flat(8, 4)
_back1, _back4, _back8 = _backward_rows(1), _backward_rows(4), _backward_rows(8)
_back_flat8_2, _back_flat8_4 = _backward_flat(8, 2), _backward_flat(8, 4)


@njit(**OPTIONS)
def _take8(kind, size, x, y, taken, step, stride, flip):
    if stride == 2:
        _rows8_2(kind, x, y, taken, step, flip)
        return
    if stride >= 4:
        _rows8_4(kind, x, y, taken, step, flip)
        first = 4
    else:
        _rows8_1(kind, x, y, taken, step, flip)
        first = 1
    for j in range(first, stride):
        _more8(kind, x + j * step, y, taken, j, flip)


@njit(**OPTIONS)
def _take4(kind, size, x, y, taken, step, stride, flip):
    _rows4_1(kind, x, y, taken, step, flip)
    for j in range(1, stride):
        _more4(kind, x + j * step, y, taken, j, flip)


@njit(**OPTIONS)
def _take1(kind, size, x, y, taken, step, stride, flip):
    _rows1_1(kind, x, y, taken, step, flip)
    for j in range(1, stride):
        _more1(kind, x + j * step, y, taken, j, flip)


@njit(**OPTIONS)
def _forward_row(kind, size, x, y, taken, pixels, stride, flip):
    """One group of maps. The last vector overlaps the one before it, and writes the same values again."""
    step = pixels * size
    if pixels >= 8:
        for p in range(0, pixels - 7, 8):
            _take8(kind, size, x + p * size, y + p * size, taken + p, step, stride, flip)
        if pixels % 8:
            p = pixels - 8
            _take8(kind, size, x + p * size, y + p * size, taken + p, step, stride, flip)
    elif pixels >= 4:
        for p in (0, pixels - 4):
            _take4(kind, size, x + p * size, y + p * size, taken + p, step, stride, flip)
    else:
        for p in range(pixels):
            _take1(kind, size, x + p * size, y + p * size, taken + p, step, stride, flip)


@njit(**OPTIONS)
def _forward_groups(kind, size, x, y, taken, low, high, stride, flip):
    """Groups low … high of neighbours in memory."""
    o = low
    if stride == 2:
        while o + 8 <= high:
            _flat8_2(kind, x + o * 2 * size, y + o * size, taken + o, flip)
            o += 8
    elif stride == 4:
        while o + 8 <= high:
            _flat8_4(kind, x + o * 4 * size, y + o * size, taken + o, flip)
            o += 8
    while o < high:
        _take1(kind, size, x + o * stride * size, y + o * size, taken + o, size, stride, flip)
        o += 1


@njit(**OPTIONS)
def _backward_row(kind, size, g, taken, out, pixels, stride):
    step = pixels * size
    if pixels >= 8:
        for p in range(0, pixels - 7, 8):
            _back8(kind, g + p * size, taken + p, out + p * size, step, stride)
        if pixels % 8:
            p = pixels - 8
            _back8(kind, g + p * size, taken + p, out + p * size, step, stride)
    elif pixels >= 4:
        for p in (0, pixels - 4):
            _back4(kind, g + p * size, taken + p, out + p * size, step, stride)
    else:
        for p in range(pixels):
            _back1(kind, g + p * size, taken + p, out + p * size, step, stride)


@njit(**OPTIONS)
def _backward_groups(kind, size, g, taken, out, low, high, stride):
    o = low
    if stride == 2:
        while o + 8 <= high:
            _back_flat8_2(kind, g + o * size, taken + o, out + o * 2 * size)
            o += 8
    elif stride == 4:
        while o + 8 <= high:
            _back_flat8_4(kind, g + o * size, taken + o, out + o * 4 * size)
            o += 8
    while o < high:
        _back1(kind, g + o * size, taken + o, out + o * stride * size, size, stride)
        o += 1


@njit(**OPTIONS)
def forward(kind, size, call):
    """Pool `rows` groups of maps of `pixels` pixels; 1 pixel: groups of neighbours in memory (channels-last)."""
    x, y, taken, rows = word_at(call + 16), word_at(call + 24), word_at(call + 32), word_at(call + 40)
    pixels, stride, flip = word_at(call + 48), word_at(call + 56), word_at(call + 64)
    parts = word_at(call + 8)
    part = next_part(call)
    while part < parts:
        low, high = rows * part // parts, rows * (part + 1) // parts
        if pixels == 1:
            _forward_groups(kind, size, x, y, taken, low, high, stride, flip)
        else:
            for row in range(low, high):
                o = row * pixels
                _forward_row(kind, size, x + o * stride * size, y + o * size, taken + o, pixels, stride, flip)
        part = next_part(call)


@njit(**OPTIONS)
def backward(kind, size, call):
    """Invert `forward` for a gradient g, as large as y: out, as large as x."""
    g, taken, out, rows = word_at(call + 16), word_at(call + 24), word_at(call + 32), word_at(call + 40)
    pixels, stride = word_at(call + 48), word_at(call + 56)
    parts = word_at(call + 8)
    part = next_part(call)
    while part < parts:
        low, high = rows * part // parts, rows * (part + 1) // parts
        if pixels == 1:
            _backward_groups(kind, size, g, taken, out, low, high, stride)
        else:
            for row in range(low, high):
                o = row * pixels
                _backward_row(kind, size, g + o * size, taken + o, out + o * stride * size, pixels, stride)
        part = next_part(call)
