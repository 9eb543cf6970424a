"""Whether a kernel computes what plain torch does, to the bit: asked before its first use in a process.

The maps are small, and full of ties, NaN, infinities, subnormals and both zeros. They come from arithmetic, so that no
generator of random numbers moves, and plain torch's answer from the CPU, where our definition of equal values was
tested. A check waits for the device: it must not be made while a CUDA graph is captured.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from harness.layers.kernels import reference
from harness.layers.memory_format import is_channels_last

PLAIN: Mapping[str, Callable[..., Any]] = {
    "spatial_forward": reference.feature_pool,
    "spatial_backward": reference.feature_pool_backward,
    "topk_forward": reference.topk_pool,
    "topk_backward": reference.topk_pool_backward,
}
_SPECIAL = (math.nan, -0.0, math.inf, -math.inf, 1e-39, 2e-39)  # the last two are subnormal
_FORMATS = (torch.contiguous_format, torch.channels_last)


def check(name: str, function: Callable[..., Any], x: Tensor) -> None:
    """Compare `function` with plain torch on maps like `x`: a forward pass in its layout, a backward pass in both.

    Raises:
        RuntimeError: the results differ.
    """
    with torch.no_grad(), _disable_current_modes():
        for arguments in _calls(name, x):
            found = function(*(a.to(x.device) if isinstance(a, Tensor) else a for a in arguments))
            expected = PLAIN[name](*arguments)
            pairs = [(found, expected)] if isinstance(found, Tensor) else zip(found, expected, strict=True)
            if not all(same(one.cpu(), other) for one, other in pairs):
                raise RuntimeError(f"{name} of {x.dtype} on this device differs from plain torch")


def same(found: Tensor, expected: Tensor) -> bool:
    """Return whether dtype, shape, memory format and bits are equal; any NaN equals any."""
    alike = found.dtype == expected.dtype and found.shape == expected.shape
    if not alike or is_channels_last(found) != is_channels_last(expected):
        return False
    if not found.is_floating_point():
        return torch.equal(found, expected)
    one, other = (torch.where(t.isnan(), 1, t) for t in (found, expected))
    return (
        torch.equal(found.isnan(), expected.isnan())
        and torch.equal(one.signbit(), other.signbit())
        and torch.equal(one, other)
    )


def small_maps(shape: tuple[int, int, int, int], dtype: torch.dtype, form: torch.memory_format) -> Tensor:
    """Return maps of few different values, on the CPU."""
    number = torch.arange(math.prod(shape), device="cpu")
    mixed = (number * 7919 + number // 5 * 104729) % 1009
    x = (mixed % 19 - 9).to(torch.float32)
    for place, value in enumerate(_SPECIAL):
        x[mixed % 41 == place] = value
    return x.view(shape).to(dtype).contiguous(memory_format=form)


def _calls(name: str, x: Tensor) -> Iterator[tuple[Any, ...]]:
    """Yield arguments on the CPU: few channels, in sizes that are not powers of two, and many, in sizes that are."""
    form = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    for channels, h, w, few, flag in ((24, 7, 5, 3, False), (128, 4, 8, 8, True)):  # each is compiled: no more of them
        if name.endswith("forward"):
            maps = small_maps((2, channels, h, w), x.dtype, form)
            number = few if name == "spatial_forward" else channels // few
            yield maps, number, flag
            continue
        for memory_format in _FORMATS:
            maps = small_maps((2, channels, h, w), x.dtype, memory_format)
            kept = channels // few
            pool = reference.feature_pool if name == "spatial_backward" else reference.topk_pool
            taken = pool(maps, few if name == "spatial_backward" else kept, False)[1]
            gradient = small_maps((2, kept, h, w), x.dtype, memory_format)
            yield gradient, taken, few if name == "spatial_backward" else channels
