"""The order of maps in memory: NCHW or channels-last, which the layers keep."""

import torch
from torch import Tensor

from harness.layers.transforms import batched


def is_channels_last(x: Tensor) -> bool:
    """Return whether x (N, C, H, W) is dense in channels-last order, and in that alone.

    A tensor that is dense in both orders (C = 1, or H = W = 1) counts as NCHW, and so does one that `vmap` or a batched
    gradient has hidden a dimension of: its order cannot be asked for, nor a copy of it in another.
    """
    return not x.is_contiguous() and not batched(x) and x.is_contiguous(memory_format=torch.channels_last)


def like_input(output: Tensor, x: Tensor) -> Tensor:
    """Return `output` (N, K, H, W) dense in the order of `x` (N, C, H, W); a copy only if it is not."""
    channels_last = is_channels_last(x) and not batched(output)
    return output.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def check_maps(x: Tensor, function: str) -> None:
    """Raise ValueError, naming `function`, unless `x` has the four dimensions (N, C, H, W)."""
    if x.ndim != 4:
        raise ValueError(f"{function} takes (N, C, H, W), not a tensor of {x.ndim} dimensions")
