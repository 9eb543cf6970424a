"""Feature pooling by the top k values: section 3 of the paper, Eq. (1).

At every place the n values are sorted, and the k = n/s largest (or smallest) become the new maps, in that
order: map 0 holds the largest values of all, whichever channel they come from. The paper does not speak of
equal values; here they keep the order of their channels, so that the gradient has one definition on every
device.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from harness.layers.compressor import reduced_channels
from harness.layers.kernels import eager
from harness.layers.kernels.choice import wanted
from harness.layers.memory_format import check_maps, like_input


def channel_topk(x: Tensor, k: int, largest: bool = True) -> Tensor:
    """Return the k largest or smallest values across the channels, sorted, at each place.

    NaN ranks above every number. The gradient goes to the channels that were taken; of equal ones the lower
    comes first. The output keeps the memory format of the input (NCHW or channels-last).

    Args:
        x: maps, (N, C, H, W), of any floating dtype.
        k: how many values to keep, 1 to C.
        largest: the largest, in descending order; else the smallest, in ascending order.

    Returns:
        (N, k, H, W), of the dtype of `x`.

    Raises:
        ValueError: `x` has not four dimensions, or `k` is not in 1…C.
    """
    check_maps(x, "channel_topk")
    if not 1 <= k <= x.shape[1]:
        raise ValueError(f"k is 1 to {x.shape[1]}, the number of channels, not {k}")
    if wanted(x):
        return eager.topk_pool(x, k, largest)
    last = x.permute(0, 2, 3, 1)  # (N, H, W, C): sorting runs of C is faster, also with the copy from NCHW
    # Not torch.topk: the positions that it gives for equal values are in no stated order.
    order = torch.sort(last.detach().contiguous(), dim=3, descending=largest, stable=True).indices
    # The copy lets go of the other C - k positions, which the backward pass does not need.
    kept = last.gather(3, order[..., :k].contiguous())  # (N, H, W, k)
    return like_input(kept.permute(0, 3, 1, 2), x)


class ChannelTopK2d(nn.Module):
    """`channel_topk` as a module without parameters: (N, C, H, W) → (N, k, H, W)."""

    def __init__(self, k: int, largest: bool = True) -> None:
        super().__init__()
        self.k = k
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        return channel_topk(x, self.k, self.largest)

    def extra_repr(self) -> str:
        return f"k={self.k}, largest={self.largest}"


@dataclass(frozen=True)
class ChannelTopK:
    """Compressor: the channels / stride largest or smallest values at each place, sorted, Eq. (1)."""

    stride: int
    largest: bool = True

    commutes_with: ClassVar[frozenset[str]] = frozenset({"relu"})  # monotonic, so it keeps the order

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> ChannelTopK2d:
        return ChannelTopK2d(self.out_channels(channels), self.largest)


# The names of earlier releases: code and pickled models that have them keep working.
topk_pool = channel_topk
TopKPool2d = ChannelTopK2d
TopK = ChannelTopK
