"""Vector code for pooling across channels on the CPU: the largest of a group of maps, and where its gradient goes.

Each function makes an intrinsic for so many pixels (lanes) of a group. `cpu_spatial` has the loops, and the words.
"""

from typing import Any

from llvmlite import ir

from harness.layers.kernels.cpu_vectors import (
    I8,
    I32,
    I64,
    as_float,
    better,
    constant,
    load,
    offset,
    shuffled,
    splat,
    store,
    vector,
    void,
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


def forward_rows(lanes: int, stride: int) -> Any:
    """(x, y, taken, step, flip): `lanes` pixels of `stride` maps that lie `step` bytes apart."""

    @void(f"forward_rows_{lanes}_{stride}", 5)
    def emit(builder: Any, element: Any, x: Any, y: Any, taken: Any, step: Any, flip: Any) -> None:
        flips = _flip(builder, flip, element, lanes)
        channels = [load(builder, offset(builder, x, j, step), element, lanes) for j in range(stride)]
        best, position = _largest(builder, channels, flips, lanes)
        _finish(builder, best, position, flips, y, taken, lanes)

    return emit


def forward_more(lanes: int) -> Any:
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


def forward_flat(lanes: int, stride: int) -> Any:
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


def backward_rows(lanes: int, stride: int) -> Any:
    """(g, taken, out, step): the gradient to the map that was taken, zero to the others; `stride` maps."""

    @void(f"backward_rows_{lanes}_{stride}", 4)
    def emit(builder: Any, element: Any, g: Any, taken: Any, out: Any, step: Any) -> None:
        gradient, position = load(builder, g, element, lanes), load(builder, taken, I8, lanes)
        position, zero = builder.zext(position, gradient.type), constant(element, lanes, 0)
        for j in range(stride):
            here = builder.icmp_unsigned("==", position, constant(element, lanes, j))
            store(builder, builder.select(here, gradient, zero), offset(builder, out, j, step))

    return emit


def backward_more(lanes: int) -> Any:
    """(g, taken, out, number): what map `number` gets of the gradient."""

    @void(f"backward_more_{lanes}", 4)
    def emit(builder: Any, element: Any, g: Any, taken: Any, out: Any, number: Any) -> None:
        gradient, position = load(builder, g, element, lanes), load(builder, taken, I8, lanes)
        here = builder.icmp_unsigned("==", position, splat(builder, builder.trunc(number, I8), lanes))
        store(builder, builder.select(here, gradient, constant(element, lanes, 0)), out)

    return emit


def backward_flat(lanes: int, stride: int) -> Any:
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
