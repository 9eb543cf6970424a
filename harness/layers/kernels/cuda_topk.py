"""Triton kernels of the top k values across channels, sorted, and of the gradient back.

A value and its channel become one word: the value's place in the order of numbers, then the channel counted from the
last, so that of equal values the lower channel is larger, then the sign of a zero. These words are sorted in registers,
the C of a pixel by one lane or, if many, by several of one warp. They say all of the result but a NaN's bits, which are
read again. fp32 has words of 64 bits, bf16 and fp16 of 32. The sizes of the sort are powers of two, given by their
logarithms; channels that are not there get the lowest word. How fast it is depends on which lane holds what, and that
on the order of axes.
"""

import triton
import triton.language as tl

from harness.layers.kernels.cuda_spatial import program, wide


@triton.jit
def _place(pixel, pixels, step, channels: tl.constexpr, LAST: tl.constexpr):
    """Return where channel 0 of each pixel is among maps with so many channels, `step` apart.

    `pixel` counts through all images, of `pixels` each.
    """
    return pixel * channels if LAST else pixel + pixel // pixels * ((channels - 1) * step)


@triton.jit
def _ordered(bits, INF: tl.constexpr):
    """Return integers in the order of the numbers, both zeros 0, and whether each is a NaN (its integer means nothing).

    INF: the bits of infinity, which tell the dtype.
    """
    LARGEST: tl.constexpr = 0x7FFFFFFF if INF > 0x7FFF else 0x7FFF
    number = bits.to(tl.int32)
    size = number & LARGEST
    return tl.where(number < 0, -size, size), size > INF


@triton.jit
def _words(bits, channel, C: tl.constexpr, C2: tl.constexpr, INF: tl.constexpr, SMALLEST: tl.constexpr):
    number, nan = _ordered(bits, INF)
    number = tl.where(nan, INF + 1, number)
    low = ((C2 - 1 - channel) << 1) | ((number == 0) & (bits < 0)).to(tl.int32)
    high = -number if SMALLEST else number
    if INF > 0x7FFF:
        word = tl.where(channel < C, (high.to(tl.int64) << 32) | low.to(tl.int64), -0x8000000000000000)
    else:
        word = tl.where(channel < C, (high << 16) | low, -0x80000000)
    return word


@triton.jit
def _bits(word, INF: tl.constexpr, SMALLEST: tl.constexpr):
    """Return the bits of the values, as int32, and which of them are NaN: then any NaN's."""
    SIGN: tl.constexpr = -0x80000000 if INF > 0x7FFF else 0x8000
    number = (word >> (32 if INF > 0x7FFF else 16)).to(tl.int32)
    number = -number if SMALLEST else number
    bits = tl.where(number < 0, SIGN | -number, number)
    return tl.where((number == 0) & ((word & 1) != 0), SIGN, bits), number > INF


@triton.jit
def _second(D: tl.constexpr, AXIS: tl.constexpr):
    """Return, for a cube of D axes of two, 1 if the axis AXIS, counted from the last, is at its second place."""
    return tl.reshape(tl.arange(0, 2), [1] * (D - 1 - AXIS) + [2] + [1] * AXIS)


@triton.jit
def _ordered_pairs(cube, up, D: tl.constexpr, AXIS: tl.constexpr, LANES_FROM: tl.constexpr):
    """Put the larger of each two along the axis AXIS, counted from the last, first, or second if `up` is 1.

    Axes from LANES_FROM on lie across lanes: there each word asks for the other of its pair, and one of them is kept.
    """
    last = (_second(D, AXIS) ^ up) != 0
    if AXIS >= LANES_FROM:
        other = tl.xor_sum(cube, D - 1 - AXIS, keep_dims=True) ^ cube
        kept = tl.where((other > cube) != last, other, cube)
    else:
        larger = tl.max(cube, D - 1 - AXIS, keep_dims=True)
        smaller = tl.xor_sum(cube, D - 1 - AXIS, keep_dims=True) ^ larger  # cheaper than another comparison
        kept = tl.where(last, smaller, larger)
    return kept


@triton.jit
def _merged(
    cube, D: tl.constexpr, STEPS: tl.constexpr, GONE: tl.constexpr, WHOLE: tl.constexpr, LANES_FROM: tl.constexpr
):
    """Sort bitonic runs of 2**STEPS: all downwards if the run is the `WHOLE`, else in turn down and up.

    GONE: how many axes were reduced away where the axis STEPS is now, of those that LANES_FROM counts.
    """
    ACROSS: tl.constexpr = STEPS + GONE >= LANES_FROM and not WHOLE
    up = 0 if WHOLE or ACROSS else _second(D, STEPS)
    if ACROSS:  # a lane knows which way it sorts only as it runs: those upwards sort the complements downwards
        cube = cube ^ -_second(D, STEPS).to(cube.dtype)
    for i in tl.static_range(STEPS):
        cube = _ordered_pairs(cube, up, D, STEPS - 1 - i, LANES_FROM)
    if ACROSS:
        cube = cube ^ -_second(D, STEPS).to(cube.dtype)
    return cube


@triton.jit
def _largest(word, P2: tl.constexpr, LOG_N: tl.constexpr, LOG_K: tl.constexpr, LANES_FROM: tl.constexpr):
    """Return the 2**LOG_K largest of each 2**LOG_N words, sorted: (2**P2, 2**LOG_N) → (2**P2, 2**LOG_K).

    Bitonic: runs of 2**LOG_K are sorted, up and down in turn; of two such runs the larger words, place by place, are
    the largest of both.
    """
    cube = tl.reshape(word, [2] * (P2 + LOG_N))
    for steps in tl.static_range(1, LOG_K + 1):
        cube = _merged(cube, P2 + LOG_N, steps, 0, steps == LOG_N, LANES_FROM)
    for halving in tl.static_range(1, LOG_N - LOG_K + 1):
        cube = tl.max(cube, P2 + LOG_N - halving - LOG_K)  # the axis LOG_K: those above it move down
        cube = _merged(cube, P2 + LOG_N - halving, LOG_K, halving, halving == LOG_N - LOG_K, LANES_FROM)
    return tl.reshape(cube, [2**P2, 2**LOG_K])


@triton.jit(do_not_specialize=["pixels"])
def forward(
    x, y, taken, total, pixels, C: tl.constexpr, K: tl.constexpr, LOG_C: tl.constexpr, LOG_K: tl.constexpr,
    LOG_P: tl.constexpr, LOG_L: tl.constexpr, V: tl.constexpr, INF: tl.constexpr, SMALLEST: tl.constexpr,
    LAST: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """P of `total` pixels, `pixels` to an image. A lane reads V channels at once, and 2**LOG_L lanes share a pixel."""
    C2: tl.constexpr = 2**LOG_C
    K2: tl.constexpr = 2**LOG_K
    P: tl.constexpr = 2**LOG_P
    L: tl.constexpr = 2**LOG_L
    A: tl.constexpr = L * V
    B: tl.constexpr = C2 // A
    pixel = program(WIDE) * P + tl.arange(0, P)
    step = wide(1 if LAST else pixels, WIDE)
    # Neighbours in memory go to neighbouring lanes, then those of the first axis that is left. What is in one lane are
    # neighbours in the sort: lanes meet in its last steps alone.
    if LAST:
        channel = (tl.arange(0, B)[:, None] * A + tl.arange(0, A)[None, :])[None, :, :]  # (1, B, A)
        offset = _place(pixel, pixels, step, C, LAST)[:, None, None] + channel * step  # (P, B, A)
        inside = (pixel < total)[:, None, None]
    else:
        channel = tl.arange(0, L)[:, None, None] + tl.arange(0, B)[None, None, :] * L  # (L, 1, B)
        offset = _place(pixel, pixels, step, C, LAST)[None, :, None] + channel * step  # (L, P, B)
        offset = tl.max_contiguous(offset, [1, P, 1])  # but at the ends of images: how lanes are dealt out, no more
        inside = (pixel < total)[None, :, None]
    bits = tl.load(x + offset, mask=inside & (channel < C), other=0)
    word = _words(bits, channel, C, C2, INF, SMALLEST)
    word = tl.permute(tl.reshape(word, [P, B, L, V]), [0, 2, 1, 3]) if LAST else tl.permute(word, [1, 0, 2])
    word = _largest(word, LOG_P, LOG_C, LOG_K, LOG_C - LOG_L)  # (P, K2)

    first = tl.arange(0, K2)[None, :]
    inside = (pixel < total)[:, None] & (first < K)
    origin = C2 - 1 - ((word >> 1) & (C2 - 1)).to(tl.int32)
    bits, nan = _bits(word, INF, SMALLEST)
    nans = tl.load(x + _place(pixel, pixels, step, C, LAST)[:, None] + origin * step, mask=inside & nan, other=0)
    output = _place(pixel, pixels, step, K, LAST)[:, None] + first * step
    if not LAST:
        output = tl.max_contiguous(output, [P, 1])
    tl.store(y + output, tl.where(nan, nans, bits.to(nans.dtype)), mask=inside)
    tl.store(taken + output, origin.to(taken.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["pixels"])
def backward_few(
    g, taken, out, total, pixels, C: tl.constexpr, K: tl.constexpr, LOG_C: tl.constexpr, P: tl.constexpr,
    LAST: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Of P pixels, a lane each, ask for every channel which of the K was taken from it: no memory is written twice."""
    C2: tl.constexpr = 2**LOG_C
    pixel = program(WIDE) * P + tl.arange(0, P)
    inside = (pixel < total)[:, None]
    step = wide(1 if LAST else pixels, WIDE)
    channel = tl.arange(0, C2)[None, :]
    given = _place(pixel, pixels, step, K, LAST)
    found = tl.zeros([P, C2], g.dtype.element_ty)
    for k in tl.static_range(K):
        bits = tl.load(g + given + k * step, mask=pixel < total, other=0)
        origin = tl.load(taken + given + k * step, mask=pixel < total, other=0).to(tl.int32)
        found = tl.where(origin[:, None] == channel, bits[:, None], found)
    offset = _place(pixel, pixels, step, C, LAST)[:, None] + channel * step
    if not LAST:
        offset = tl.max_contiguous(offset, [P, 1])
    tl.store(out + offset, found, mask=inside & (channel < C))


@triton.jit(do_not_specialize=["pixels"])
def backward(
    g, taken, out, total, pixels, C: tl.constexpr, K: tl.constexpr, P: tl.constexpr, BLOCK: tl.constexpr,
    LAST: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Zero the gradient of P pixels, then put what is given where it was taken: both while it is in the cache."""
    pixel = program(WIDE) * P + tl.arange(0, P)
    inside = (pixel < total)[:, None]
    step = wide(1 if LAST else pixels, WIDE)
    block = tl.arange(0, BLOCK)[None, :]
    zero = tl.zeros([P, BLOCK], g.dtype.element_ty)
    start = _place(pixel, pixels, step, C, LAST)[:, None]
    for c in range(0, C, BLOCK):
        offset = start + (c + block) * step
        if not LAST:
            offset = tl.max_contiguous(offset, [P, 1])
        tl.store(out + offset, zero, mask=inside & (c + block < C))
    tl.debug_barrier()  # zeros are written before any thread of this program goes on
    given = _place(pixel, pixels, step, K, LAST)[:, None]
    for k in range(0, K, BLOCK):
        offset = given + (k + block) * step
        if not LAST:
            offset = tl.max_contiguous(offset, [P, 1])
        found = inside & (k + block < K)
        origin = tl.load(taken + offset, mask=found, other=0).to(tl.int32)
        tl.store(out + start + origin * step, tl.load(g + offset, mask=found, other=0), mask=found)
