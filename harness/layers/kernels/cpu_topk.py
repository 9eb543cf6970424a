"""The k largest or smallest values across the channels, sorted, on the CPU: forward and backward.

Pixels are taken `LANES64` at a time, and some such vectors together as a tile, so that lines of memory are read whole.
Channels are sorted in blocks of 16, and the blocks merged in pairs; once a run holds as many keys as are wanted (k,
up to the next power of two), only the better half of a pair is kept. NCHW and channels-last differ in the steps in
memory alone. Everything is an address, a count or a step in bytes; `kind` is any integer of the maps' size (32 bits:
fp32, 16: bf16), `wide` tells positions of 16 bits from bytes.
"""

import numpy as np
from numba import njit

from harness.layers.kernels.cpu_call import argument, next_part, parts_of
from harness.layers.kernels.cpu_keys import (
    decode_pixels8,
    decode_pixels16,
    decode_row8,
    decode_row16,
    encode16_pixels,
    encode16_rows,
    encode16_staged,
)
from harness.layers.kernels.cpu_layout import BLOCK, LANES64, STAGE_BYTES, TILE
from harness.layers.kernels.cpu_networks import (
    ROW_BYTES,
    cross,
    larger,
    merge2,
    merge4,
    merge8,
    merge16,
    pad,
    top1,
    top2,
    top4,
    top8,
    top16,
)
from harness.layers.kernels.cpu_vectors import (
    OPTIONS,
    byte_at,
    copy_value,
    prefetch,
    short_at,
    zero_bytes,
)

_SCATTER_BYTES = 1 << 17  # of gradient that is zeroed, then scattered into, while it is in the cache


@njit(**OPTIONS)
def _smaller(a, b):
    return min(b, a)


@njit(**OPTIONS)
def _merge_few(kind, keys, count, step):
    if count == 16:
        merge16(kind, keys, step)
    elif count == 8:
        merge8(kind, keys, step)
    elif count == 4:
        merge4(kind, keys, step)
    else:
        merge2(kind, keys, step)


@njit(**OPTIONS)
def _merge_bitonic(kind, keys, count):
    """Sort a bitonic run of `count` rows, a power of two and at least 16."""
    span = count
    while span > 256:
        span //= 2
        for start in range(0, count, 2 * span):
            for i in range(start, start + span):
                merge2(kind, keys + i * ROW_BYTES, span * ROW_BYTES)
    several = span // BLOCK
    for start in range(0, count, span):
        if several > 1:
            for i in range(start, start + BLOCK):
                _merge_few(kind, keys + i * ROW_BYTES, several, BLOCK * ROW_BYTES)
        for i in range(start, start + span, BLOCK):
            merge16(kind, keys + i * ROW_BYTES, ROW_BYTES)


@njit(**OPTIONS)
def _merge_whole(kind, a, b, count):
    """Merge two sorted runs of `count` rows, which lie one behind the other, into one."""
    for i in range(count):
        cross(kind, a + i * ROW_BYTES, b + (count - 1 - i) * ROW_BYTES)
    _merge_bitonic(kind, a, count)
    _merge_bitonic(kind, b, count)


@njit(**OPTIONS)
def _merge_better(kind, a, b, wanted):
    """Leave in a the sorted `wanted` largest of two sorted runs."""
    if wanted == 1:
        top1(kind, a, b)
    elif wanted == 2:
        top2(kind, a, b)
    elif wanted == 4:
        top4(kind, a, b)
    elif wanted == 8:
        top8(kind, a, b)
    elif wanted == 16:
        top16(kind, a, b)
    else:
        for i in range(wanted):
            larger(kind, a + i * ROW_BYTES, b + (wanted - 1 - i) * ROW_BYTES)
        _merge_bitonic(kind, a, wanted)


@njit(**OPTIONS)
def _select(kind, keys, blocks, wanted):
    """Leave the `wanted` (a power of two) largest keys of sorted blocks of 16 rows in front, sorted."""
    length, apart, runs = BLOCK, BLOCK, blocks  # rows that are sorted, rows between runs
    while runs > 1:
        for i in range(0, runs - 1, 2):
            a, b = keys + i * apart * ROW_BYTES, keys + (i + 1) * apart * ROW_BYTES
            if length < wanted:
                _merge_whole(kind, a, b, length)
            else:
                _merge_better(kind, a, b, wanted)
        if runs % 2 and length < wanted:  # the run that is left over grows by padding
            for i in range(runs * apart, (runs + 1) * apart):
                pad(kind, keys + i * ROW_BYTES)
        if length < wanted:
            length *= 2
        apart *= 2
        runs = (runs + 1) // 2


@njit(**OPTIONS)
def _encode_staged(kind, size, x, count, pixel_step, channel_step, first, smallest, keys, stage, special):
    """Make a sorted block of 16 keys from `count` channels of any values; `x` is the first one's first value."""
    for j in range(count):
        for i in range(LANES64):
            copy_value(kind, x + i * pixel_step + j * channel_step, stage + (j * LANES64 + i) * size)
    encode16_staged(kind, stage, count, keys, first, smallest, special)


@njit(**OPTIONS)
def _encode(kind, size, x, channels, pixel_step, channel_step, last, smallest, keys, stage, special):
    """Make sorted blocks of 16 keys from the channels of one vector of pixels; `x` is its first value."""
    for first in range(0, channels, BLOCK):
        start, rows, count = x + first * channel_step, keys + first * ROW_BYTES, _smaller(BLOCK, channels - first)
        if count < BLOCK:
            unfit = 1
        elif last:
            unfit = encode16_pixels(kind, start, pixel_step, rows, first, smallest)
        else:
            unfit = encode16_rows(kind, start, channel_step, rows, first, smallest)
        if unfit:
            _encode_staged(kind, size, start, count, pixel_step, channel_step, first, smallest, rows, stage, special)


@njit(**OPTIONS)
def _decode_row(kind, keys, y, taken, wide, smallest):
    if wide:
        decode_row16(kind, keys, y, taken, smallest)
    else:
        decode_row8(kind, keys, y, taken, smallest)


@njit(**OPTIONS)
def _decode_pixels(kind, keys, y, taken, k, wide, smallest):
    if wide:
        decode_pixels16(kind, keys, y, taken, k, smallest)
    else:
        decode_pixels8(kind, keys, y, taken, k, smallest)


@njit(**OPTIONS)
def _write_pixels(kind, size, keys, k, y, taken, wide, smallest, stage):
    """Write one vector of pixels channels-last; `y` and `taken` are its first value and position."""
    wide_size = 2 if wide else 1
    if k >= LANES64:
        for j in range(0, k - LANES64 + 1, LANES64):
            _decode_pixels(kind, keys + j * ROW_BYTES, y + j * size, taken + j * wide_size, k, wide, smallest)
        if k % LANES64:
            j = k - LANES64
            _decode_pixels(kind, keys + j * ROW_BYTES, y + j * size, taken + j * wide_size, k, wide, smallest)
        return
    positions = stage + LANES64 * size
    for j in range(k):
        _decode_row(kind, keys + j * ROW_BYTES, stage, positions, wide, smallest)
        for i in range(LANES64):
            copy_value(kind, stage + i * size, y + (i * k + j) * size)
            for byte in range(wide_size):
                copy_value(np.int8(0), positions + i * wide_size + byte, taken + (i * k + j) * wide_size + byte)


@njit(**OPTIONS)
def _repair(kind, size, x, channel_step, y, y_step, taken, taken_step, k, wide):
    """Fetch the values of one pixel again by their positions: keys keep neither -0 nor what kind of NaN."""
    for j in range(k):
        channel = short_at(taken + j * taken_step) if wide else byte_at(taken + j * taken_step)
        copy_value(kind, x + channel * channel_step, y + j * y_step)


@njit(**OPTIONS)
def _prefetch_next(kind, size, x, channels, pixels, first):
    """Ask for the tile after that of pixel `first`: of so many maps, a line each, nothing foresees what comes next."""
    following = first + TILE if first + TILE < pixels else channels * pixels
    for c in range(channels):
        prefetch(kind, x + (following + c * pixels + TILE) * size - 1)


@njit(**OPTIONS)
def _forward_tile(kind, size, x, y, taken, channels, pixels, k, last, smallest, wide, first, count, keys, room, stage):
    """Pixels first … first + count of one image, of at least `LANES64` pixels; a last vector overlaps."""
    pixel_step = channels * size if last else size
    channel_step = size if last else pixels * size
    wide_size = 2 if wide else 1
    special = stage + BLOCK * ROW_BYTES
    wanted = 1
    while wanted < k:
        wanted *= 2
    blocks = (channels + BLOCK - 1) // BLOCK
    if not last:
        _prefetch_next(kind, size, x, channels, pixels, first)
    for start in range(0, count, LANES64):
        p = _smaller(first + start, pixels - LANES64)
        here = keys + start // LANES64 * room
        zero_bytes(kind, special + 2 * start, 8)
        _encode(
            kind, size, x + p * pixel_step, channels, pixel_step, channel_step, last, smallest, here, stage,
            special + 2 * start,
        )  # fmt: skip
    for start in range(0, count, LANES64):
        p = _smaller(first + start, pixels - LANES64)
        here = keys + start // LANES64 * room
        _select(kind, here, blocks, wanted)
        if last:
            y_first, y_pixel, y_step, t_step = p * k, k * size, size, wide_size
            _write_pixels(kind, size, here, k, y + y_first * size, taken + y_first * wide_size, wide, smallest, stage)
        else:
            y_first, y_pixel, y_step, t_step = p, size, pixels * size, pixels * wide_size
            for j in range(k):
                o = j * pixels + p
                _decode_row(kind, here + j * ROW_BYTES, y + o * size, taken + o * wide_size, wide, smallest)
        if byte_at(special + 2 * start):
            for i in range(LANES64):
                _repair(
                    kind, size, x + (p + i) * pixel_step, channel_step, y + y_first * size + i * y_pixel, y_step,
                    taken + y_first * wide_size + i * (y_pixel // size) * wide_size, t_step, k, wide,
                )  # fmt: skip


@njit(**OPTIONS)
def forward(kind, size, call):
    """Sort all pixels of maps (images, channels, pixels), or (1, pixels, channels) if `last`.

    There are at least `LANES64` pixels. `smallest` is 0, or -1 for the smallest. `scratch` has, for each part,
    `room` for keys, as `scratch_bytes` says.
    """
    x, y, taken, scratch = argument(call, 0), argument(call, 1), argument(call, 2), argument(call, 3)
    images, channels, pixels, k = argument(call, 4), argument(call, 5), argument(call, 6), argument(call, 7)
    last, smallest, wide, room = argument(call, 8), argument(call, 9), argument(call, 10), argument(call, 11)
    wide_size = 2 if wide else 1
    tiles = (pixels + TILE - 1) // TILE
    parts = parts_of(call)
    part = next_part(call)
    while part < parts:
        keys = (scratch + part * (TILE // LANES64 * room + STAGE_BYTES) + 63) // 64 * 64
        stage = keys + TILE // LANES64 * room
        for unit in range(images * tiles * part // parts, images * tiles * (part + 1) // parts):
            image, first = unit // tiles, unit % tiles * TILE
            _forward_tile(
                kind, size, x + image * channels * pixels * size, y + image * k * pixels * size,
                taken + image * k * pixels * wide_size, channels, pixels, k, last, smallest, wide, first,
                _smaller(TILE, pixels - first), keys, room, stage,
            )  # fmt: skip
        part = next_part(call)


@njit(**OPTIONS)
def _scatter(kind, size, g, taken, out, channels, pixels, k, last, wide, first, count):
    """Gradient of `count` pixels of one image, from pixel `first` on."""
    if last:
        zero_bytes(kind, out + first * channels * size, count * channels * size)
        for p in range(first, first + count):
            for j in range(k):
                o = p * k + j
                channel = short_at(taken + 2 * o) if wide else byte_at(taken + o)
                copy_value(kind, g + o * size, out + (p * channels + channel) * size)
        return
    for c in range(channels):
        zero_bytes(kind, out + (c * pixels + first) * size, count * size)
    for j in range(k):
        for p in range(first, first + count):
            o = j * pixels + p
            channel = short_at(taken + 2 * o) if wide else byte_at(taken + o)
            copy_value(kind, g + o * size, out + (channel * pixels + p) * size)


@njit(**OPTIONS)
def backward(kind, size, call):
    """Invert `forward` for a gradient g, as large as y: out, as large as x."""
    g, taken, out, images = argument(call, 0), argument(call, 1), argument(call, 2), argument(call, 3)
    channels, pixels, k, last = argument(call, 4), argument(call, 5), argument(call, 6), argument(call, 7)
    wide = argument(call, 8)
    span = _smaller(pixels, 64 + _SCATTER_BYTES // (channels * size))
    units = (pixels + span - 1) // span
    wide_size = 2 if wide else 1
    parts = parts_of(call)
    part = next_part(call)
    while part < parts:
        for unit in range(images * units * part // parts, images * units * (part + 1) // parts):
            image, first = unit // units, unit % units * span
            o = image * k * pixels
            _scatter(
                kind, size, g + o * size, taken + o * wide_size, out + image * channels * pixels * size,
                channels, pixels, k, last, wide, first, _smaller(span, pixels - first),
            )  # fmt: skip
        part = next_part(call)
