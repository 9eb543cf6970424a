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
    """(x, y, taken, flip): `lanes` groups of `stride` neighbours in memory, 2 or 4."""

    @void(f"forward_flat_{lanes}_{stride}", 4)
    def emit(builder: Any, element: Any, x: Any, y: Any, taken: Any, flip: Any) -> None:
        flips = _flip(builder, flip, element, lanes)
        size = element.width // 8
        parts = [load(builder, builder.add(x, I64(j * lanes * size)), element, lanes) for j in range(stride)]
        channels, order = _channels_of_groups(builder, parts, lanes)
        best, position = _largest(builder, channels, flips, lanes)
        best, position = (shuffled(builder, v, ir.Constant(v.type, ir.Undefined), order) for v in (best, position))
        _finish(builder, best, position, flips, y, taken, lanes)

    return emit


def _channels_of_groups(builder: Any, parts: list[Any], lanes: int) -> tuple[list[Any], list[int]]:
    """Return a vector for each channel of groups that lie one after another, and how to order its groups.

    Values of 4 channels (`lanes` is 8) move within half a vector only, which costs least: even groups come first.
    """
    if len(parts) == 2:
        a, b = parts
        return [shuffled(builder, a, b, list(range(j, 2 * lanes, 2))) for j in (0, 1)], list(range(lanes))
    half = lanes // 2
    low = [i for start in (0, half) for j in (0, 1) for i in (start + j, lanes + start + j)]
    first = [i for start in (0, half) for i in (start, start + 1, lanes + start, lanes + start + 1)]
    channels = []
    for order in (low, [i + 2 for i in low]):
        a, b = (shuffled(builder, one, other, order) for one, other in (parts[:2], parts[2:]))
        channels += [shuffled(builder, a, b, first), shuffled(builder, a, b, [i + 2 for i in first])]
    return channels, [i for j in range(half) for i in (j, half + j)]


def _backward_rows(lanes: int, stride: int) -> Any:
    """(g, taken, out, step): the gradient to the map that was taken, zero to the others; `stride` maps."""

    @void(f"backward_rows_{lanes}_{stride}", 4)
    def emit(builder: Any, element: Any, g: Any, taken: Any, out: Any, step: Any) -> None:
        gradient, position = load(builder, g, element, lanes), load(builder, taken, I8, lanes)
        position, zero = builder.zext(position, gradient.type), constant(element, lanes, 0)
        for j in range(stride):
            here = builder.icmp_unsigned("==", position, constant(element, lanes, j))
            store(builder, builder.select(here, gradient, zero), offset(builder, out, j, step))

    return emit


def _backward_more(lanes: int) -> Any:
    """(g, taken, out, number): what map `number` gets of the gradient."""

    @void(f"backward_more_{lanes}", 4)
    def emit(builder: Any, element: Any, g: Any, taken: Any, out: Any, number: Any) -> None:
        gradient, position = load(builder, g, element, lanes), load(builder, taken, I8, lanes)
        here = builder.icmp_unsigned("==", position, splat(builder, builder.trunc(number, I8), lanes))
        store(builder, builder.select(here, gradient, constant(element, lanes, 0)), out)

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


_rows1_1, _rows4_1, _rows8_1 = _forward_rows(1, 1), _forward_rows(4, 1), _forward_rows(8, 1)
_rows8_2, _rows8_4 = _forward_rows(8, 2), _forward_rows(8, 4)
_more1, _more4, _more8 = _forward_more(1), _forward_more(4), _forward_more(8)
_flat8_2, _flat8_4 = _forward_flat(8, 2), _forward_flat(8, 4)
_back8_2, _back8_4 = _backward_rows(8, 2), _backward_rows(8, 4)
_back_more1, _back_more4, _back_more8 = _backward_more(1), _backward_more(4), _backward_more(8)
_back_flat8_2, _back_flat8_4 = _backward_flat(8, 2), _backward_flat(8, 4)


@njit(**OPTIONS)
def _take8(kind, size, x, y, taken, step, stride, flip):
    first = 1
    if stride >= 4:
        _rows8_4(kind, x, y, taken, step, flip)
        first = 4
    else:
        _rows8_1(kind, x, y, taken, step, flip)
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


def _forward_maps(take: Any, stride: int) -> Any:
    """Return `_forward_row` for groups low … high of `stride` maps of 8 pixels or more, of which `take` does 8."""

    @njit(**OPTIONS)
    def pool(kind, size, x, y, taken, low, high, pixels, flip):
        step = pixels * size
        for row in range(low, high):
            o = row * pixels
            here, values, positions = x + o * stride * size, y + o * size, taken + o
            for p in range(0, pixels - 7, 8):
                take(kind, here + p * size, values + p * size, positions + p, step, flip)
            if pixels % 8:
                p = pixels - 8
                take(kind, here + p * size, values + p * size, positions + p, step, flip)

    return pool


_forward_maps2, _forward_maps4 = _forward_maps(_rows8_2, 2), _forward_maps(_rows8_4, 4)


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
    for j in range(stride):
        if pixels >= 8:
            for p in range(0, pixels - 7, 8):
                _back_more8(kind, g + p * size, taken + p, out + p * size, j)
            if pixels % 8:
                p = pixels - 8
                _back_more8(kind, g + p * size, taken + p, out + p * size, j)
        elif pixels >= 4:
            for p in (0, pixels - 4):
                _back_more4(kind, g + p * size, taken + p, out + p * size, j)
        else:
            for p in range(pixels):
                _back_more1(kind, g + p * size, taken + p, out + p * size, j)
        out += step


def _backward_maps(give: Any, stride: int) -> Any:
    """Return `_backward_row` for groups low … high of `stride` maps of 8 pixels or more, of which `give` does 8."""

    @njit(**OPTIONS)
    def spread(kind, size, g, taken, out, low, high, pixels):
        step = pixels * size
        for row in range(low, high):
            o = row * pixels
            gradients, positions, there = g + o * size, taken + o, out + o * stride * size
            for p in range(0, pixels - 7, 8):
                give(kind, gradients + p * size, positions + p, there + p * size, step)
            if pixels % 8:
                p = pixels - 8
                give(kind, gradients + p * size, positions + p, there + p * size, step)

    return spread


_backward_maps2, _backward_maps4 = _backward_maps(_back8_2, 2), _backward_maps(_back8_4, 4)


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
        for j in range(stride):
            _back_more1(kind, g + o * size, taken + o, out + (o * stride + j) * size, j)
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
        elif pixels >= 8 and stride == 2:
            _forward_maps2(kind, size, x, y, taken, low, high, pixels, flip)
        elif pixels >= 8 and stride == 4:
            _forward_maps4(kind, size, x, y, taken, low, high, pixels, flip)
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
        elif pixels >= 8 and stride == 2:
            _backward_maps2(kind, size, g, taken, out, low, high, pixels)
        elif pixels >= 8 and stride == 4:
            _backward_maps4(kind, size, g, taken, out, low, high, pixels)
        else:
            for row in range(low, high):
                o = row * pixels
                _backward_row(kind, size, g + o * size, taken + o, out + o * stride * size, pixels, stride)
        part = next_part(call)
