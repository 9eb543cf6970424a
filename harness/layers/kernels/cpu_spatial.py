"""Feature pooling by pooling across channels on the CPU: forward and backward, NCHW and channels-last.

A row is one group of maps of one image: s·H·W values in, H·W out (NCHW), or the s channels of one pixel in, one out
(channels-last, if all of memory is one run of such groups). Everything is an address or a count; `kind` is any
integer of the maps' size (32 bits: fp32, 16: bf16). `flip` turns the sign, so that the minimum is a maximum too.
Positions are bytes.
"""

from typing import Any

from numba import njit

from harness.layers.kernels.cpu_call import argument, next_part, parts_of
from harness.layers.kernels.cpu_groups import (
    backward_flat,
    backward_more,
    backward_rows,
    forward_flat,
    forward_more,
    forward_rows,
)
from harness.layers.kernels.cpu_vectors import OPTIONS

_rows1_1, _rows4_1, _rows8_1 = forward_rows(1, 1), forward_rows(4, 1), forward_rows(8, 1)
_rows8_2, _rows8_4 = forward_rows(8, 2), forward_rows(8, 4)
_more1, _more4, _more8 = forward_more(1), forward_more(4), forward_more(8)
_flat8_2, _flat8_4 = forward_flat(8, 2), forward_flat(8, 4)
_back8_2, _back8_4 = backward_rows(8, 2), backward_rows(8, 4)
_back_more1, _back_more4, _back_more8 = backward_more(1), backward_more(4), backward_more(8)
_back_flat8_2, _back_flat8_4 = backward_flat(8, 2), backward_flat(8, 4)


@njit(**OPTIONS)
def _one_by_one(map_bytes):
    """Whether maps of this size are gone through one after another, which processors see ahead in best.

    Not so if several fit into a few lines of memory, nor if what they share would not stay in the first cache.
    """
    return 512 <= map_bytes <= 8192


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
    if _one_by_one(step):
        for j in range(stride):
            for q in range(0, pixels, 8):
                p = min(q, pixels - 8)
                if j == 0:
                    _rows8_1(kind, x + p * size, y + p * size, taken + p, step, flip)
                else:
                    _more8(kind, x + j * step + p * size, y + p * size, taken + p, j, flip)
    elif pixels >= 8:
        for q in range(0, pixels, 8):
            p = min(q, pixels - 8)
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
            for q in range(0, pixels, 8):
                p = min(q, pixels - 8)
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
            for q in range(0, pixels, 8):
                p = min(q, pixels - 8)
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
            for q in range(0, pixels, 8):
                p = min(q, pixels - 8)
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
    x, y, taken, rows = argument(call, 0), argument(call, 1), argument(call, 2), argument(call, 3)
    pixels, stride, flip = argument(call, 4), argument(call, 5), argument(call, 6)
    together = pixels >= 8 and not _one_by_one(pixels * size)
    parts = parts_of(call)
    part = next_part(call)
    while part < parts:
        low, high = rows * part // parts, rows * (part + 1) // parts
        if pixels == 1:
            _forward_groups(kind, size, x, y, taken, low, high, stride, flip)
        elif together and stride == 2:
            _forward_maps2(kind, size, x, y, taken, low, high, pixels, flip)
        elif together and stride == 4:
            _forward_maps4(kind, size, x, y, taken, low, high, pixels, flip)
        else:
            for row in range(low, high):
                o = row * pixels
                _forward_row(kind, size, x + o * stride * size, y + o * size, taken + o, pixels, stride, flip)
        part = next_part(call)


@njit(**OPTIONS)
def backward(kind, size, call):
    """Invert `forward` for a gradient g, as large as y: out, as large as x."""
    g, taken, out, rows = argument(call, 0), argument(call, 1), argument(call, 2), argument(call, 3)
    pixels, stride = argument(call, 4), argument(call, 5)
    together = pixels >= 8 and not _one_by_one(pixels * size)
    parts = parts_of(call)
    part = next_part(call)
    while part < parts:
        low, high = rows * part // parts, rows * (part + 1) // parts
        if pixels == 1:
            _backward_groups(kind, size, g, taken, out, low, high, stride)
        elif together and stride == 2:
            _backward_maps2(kind, size, g, taken, out, low, high, pixels)
        elif together and stride == 4:
            _backward_maps4(kind, size, g, taken, out, low, high, pixels)
        else:
            for row in range(low, high):
                o = row * pixels
                _backward_row(kind, size, g + o * size, taken + o, out + o * stride * size, pixels, stride)
        part = next_part(call)
