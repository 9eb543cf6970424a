"""What the kernels compute, in plain torch: values and positions, and the gradient from positions.

The operators' answer if no kernel can be used after all, and what their tests compare with.
"""

import torch
from torch import Tensor

from harness.layers.memory_format import like_input

MOST_POOLED = 256
"""Channels of a group up to which kernels pool: its positions fit in a byte."""

MOST_SORTED = 2048
"""Channels up to which kernels sort."""


def position_dtype(channels: int) -> torch.dtype:
    """Return the smallest dtype that holds positions below `channels`."""
    return torch.uint8 if channels <= MOST_POOLED else torch.int16


def feature_pool(x: Tensor, stride: int, minimum: bool) -> tuple[Tensor, Tensor]:
    """Return the values (N, C/stride, H, W) and the position of each in its group, the first of equal ones."""
    n, c, h, w = x.shape
    grouped = x.reshape(n, c // stride, stride, h, w)
    found = grouped.min(2) if minimum else grouped.max(2)
    return like_input(found.values, x), like_input(found.indices.to(position_dtype(stride)), x)


def topk_pool(x: Tensor, k: int, largest: bool) -> tuple[Tensor, Tensor]:
    """Return the k values (N, k, H, W) and their channels, sorted, lower channels first."""
    order = torch.sort(x, dim=1, descending=largest, stable=True).indices[:, :k]
    return like_input(x.gather(1, order), x), like_input(order.to(position_dtype(x.shape[1])), x)


def _positions(taken: Tensor) -> Tensor:
    return taken.to(torch.int64)


def feature_pool_backward(g: Tensor, taken: Tensor, stride: int) -> Tensor:
    """Return the gradient (N, C, H, W): g at the positions that were taken, else zero."""
    n, groups, h, w = g.shape
    out = g.new_zeros((n, groups, stride, h, w)).scatter(2, _positions(taken).unsqueeze(2), g.unsqueeze(2))
    return like_input(out.reshape(n, groups * stride, h, w), taken)


def topk_pool_backward(g: Tensor, taken: Tensor, channels: int) -> Tensor:
    """Return the gradient (N, channels, H, W): g at the channels that were taken, else zero."""
    n, _, h, w = g.shape
    return like_input(g.new_zeros((n, channels, h, w)).scatter(1, _positions(taken), g), taken)


def feature_pool_gather(v: Tensor, taken: Tensor, stride: int) -> Tensor:
    """Return v (N, C, H, W) at the positions that were taken: the derivative of `feature_pool_backward` by g."""
    n, groups, h, w = taken.shape
    found = v.reshape(n, groups, stride, h, w).gather(2, _positions(taken).unsqueeze(2))
    return like_input(found.squeeze(2), taken)


def topk_pool_gather(v: Tensor, taken: Tensor) -> Tensor:
    """Return v (N, C, H, W) at the channels that were taken: the derivative of `topk_pool_backward` by g."""
    return like_input(v.gather(1, _positions(taken)), taken)
