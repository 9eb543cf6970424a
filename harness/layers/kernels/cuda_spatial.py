"""Triton kernels of pooling across channels: a value of each group of `S` neighbouring maps, and the gradient back.

The time is that of memory, so each kernel reads and writes everything once, in vectors of 16 bytes if sizes allow.
Values travel as the integers of their bits, which no arithmetic changes, and are compared as fp32. In NCHW a row is
a map, (row, place) an output, and the S values of a group lie a map apart; in channels-last they are neighbours.
`WIDE` makes offsets 64-bit integers: from 2**31 values on.
"""

import triton
import triton.language as tl


@triton.jit
def program(WIDE: tl.constexpr):
    """Return the number of this program, of the width of all offsets."""
    number = tl.program_id(0)
    return number.to(tl.int64) if WIDE else number


@triton.jit
def wide(number, WIDE: tl.constexpr):
    """Return a number of the width of all offsets."""
    return number + tl.zeros([], tl.int64 if WIDE else tl.int32)


@triton.jit
def _number(bits, INF: tl.constexpr, MINIMUM: tl.constexpr):
    """Return fp32 whose largest is the value to be taken. INF: the bits of infinity, which tell the dtype."""
    if INF > 0x7FFF:
        number = bits.to(tl.float32, bitcast=True)
    elif INF == 0x7F80:
        number = (bits.to(tl.int32) << 16).to(tl.float32, bitcast=True)
    else:
        number = bits.to(tl.float16, bitcast=True).to(tl.float32)
    return -number if MINIMUM else number


@triton.jit
def _takes(found, most):
    """Return whether what is found takes the place of what is before it: a larger number, or the first NaN."""
    return (most <= float("inf")) & ~(found <= most)  # no comparison holds for a NaN


@triton.jit
def forward_maps(
    x, y, taken, units, row_units, S: tl.constexpr, V: tl.constexpr, UNITS: tl.constexpr, INF: tl.constexpr,
    MINIMUM: tl.constexpr, UNROLL: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Outputs in `units` of V neighbours, `row_units` to a row; the values of a group are a row apart.

    Channels-last has rows of one output.
    """
    unit = program(WIDE) * UNITS + tl.arange(0, UNITS)
    row = wide(row_units, WIDE)
    lane = tl.arange(0, V)[None, :]
    inside = (unit < units)[:, None]
    first = x + ((unit + unit // row_units * ((S - 1) * row)) * V)[:, None] + lane  # (UNITS, V)
    best = tl.load(first, mask=inside, other=0)
    at = tl.zeros([UNITS, V], tl.int32)
    if UNROLL:
        for j in tl.static_range(1, S):
            bits = tl.load(first + j * row * V, mask=inside, other=0)
            takes = _takes(_number(bits, INF, MINIMUM), _number(best, INF, MINIMUM))
            best, at = tl.where(takes, bits, best), tl.where(takes, j, at)
    else:
        for j in range(1, S):
            bits = tl.load(first + j * row * V, mask=inside, other=0)
            takes = _takes(_number(bits, INF, MINIMUM), _number(best, INF, MINIMUM))
            best, at = tl.where(takes, bits, best), tl.where(takes, j, at)
    output = (unit * V)[:, None] + lane
    tl.store(y + output, best, mask=inside)
    tl.store(taken + output, at.to(tl.uint8), mask=inside)


@triton.jit
def forward_neighbours(
    x, y, taken, units, S: tl.constexpr, V: tl.constexpr, UNITS: tl.constexpr, INF: tl.constexpr,
    LOG_S: tl.constexpr, MINIMUM: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Channels-last, S a power of two: `units` of V outputs, whose V · S values are neighbours."""
    unit = program(WIDE) * UNITS + tl.arange(0, UNITS)
    inside = (unit < units)[:, None]
    values = x + (unit * (V * S))[:, None] + tl.arange(0, V * S)[None, :]
    best = tl.load(values, mask=inside, other=0)
    at = tl.zeros([UNITS, V * S], tl.int32)
    for i in tl.static_range(LOG_S):  # of each two neighbours the first, or the second if it is larger
        best, second = tl.split(tl.reshape(best, [UNITS, V * S // 2 ** (i + 1), 2]))
        at, second_at = tl.split(tl.reshape(at, [UNITS, V * S // 2 ** (i + 1), 2]))
        takes = _takes(_number(second, INF, MINIMUM), _number(best, INF, MINIMUM))
        best, at = tl.where(takes, second, best), tl.where(takes, second_at + 2**i, at)
    output = (unit * V)[:, None] + tl.arange(0, V)[None, :]
    tl.store(y + output, best, mask=inside)
    tl.store(taken + output, at.to(tl.uint8), mask=inside)


@triton.jit
def backward_maps(
    g, taken, out, units, row_units, S: tl.constexpr, V: tl.constexpr, UNITS: tl.constexpr, WIDE: tl.constexpr
):
    """NCHW: each gradient goes to one of S maps, the others get zero."""
    unit = program(WIDE) * UNITS + tl.arange(0, UNITS)
    row = wide(row_units, WIDE)
    lane = tl.arange(0, V)[None, :]
    inside = (unit < units)[:, None]
    given = (unit * V)[:, None] + lane
    bits = tl.load(g + given, mask=inside, other=0)
    at = tl.load(taken + given, mask=inside, other=0).to(tl.int32)
    first = out + ((unit + unit // row_units * ((S - 1) * row)) * V)[:, None] + lane
    for j in range(S):
        tl.store(first + j * row * V, tl.where(at == j, bits, 0), mask=inside)


@triton.jit
def backward_neighbours(
    g, taken, out, units, S: tl.constexpr, V: tl.constexpr, UNITS: tl.constexpr, WIDE: tl.constexpr
):
    """Channels-last: `units` of V results, each of which asks whether it is the one that its group took."""
    unit = program(WIDE) * UNITS + tl.arange(0, UNITS)
    inside = (unit < units)[:, None]
    result = (unit * V)[:, None] + tl.arange(0, V)[None, :]
    group = result // S
    at = tl.load(taken + group, mask=inside, other=0).to(tl.int32)
    bits = tl.load(g + group, mask=inside, other=0)
    tl.store(out + result, tl.where(at == (result - group * S).to(tl.int32), bits, 0), mask=inside)
