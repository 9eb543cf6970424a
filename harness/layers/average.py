"""A control for feature pooling: the mean of every group of neighbouring channels instead of their maximum.

It has the same groups, no parameters and the same output, but is linear: what the maximum has over it is what choosing
has over mixing. Not in the paper.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from harness.layers.compressor import reduced_channels
from harness.layers.memory_format import check_maps, is_channels_last


def channel_average(x: Tensor, stride: int) -> Tensor:
    """Return the mean of every `stride` neighbouring channels, at each place: (N, C, H, W) → (N, C/stride, H, W).

    Any floating dtype; the output keeps dtype and memory format. Raises ValueError if `stride` does not divide C.
    """
    check_maps(x, "channel_average")
    n, c, h, w = x.shape
    groups = reduced_channels(c, stride)
    if is_channels_last(x):
        return x.permute(0, 2, 3, 1).view(n, h, w, groups, stride).mean(4).permute(0, 3, 1, 2)
    return x.reshape(n, groups, stride, h, w).mean(2)


class ChannelAverage2d(nn.Module):
    """`channel_average` as a module without parameters: (N, C, H, W) → (N, C/stride, H, W)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return channel_average(x, self.stride)

    def extra_repr(self) -> str:
        return f"stride={self.stride}"


@dataclass(frozen=True)
class ChannelAverage:
    """Compressor: the mean over groups of `stride` neighbouring channels."""

    stride: int

    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> ChannelAverage2d:
        self.out_channels(channels)  # refuses a stride that does not divide
        return ChannelAverage2d(self.stride)


# The names of earlier releases: code and pickled models that have them keep working.
average_pool = channel_average
AveragePoolChannels2d = ChannelAverage2d
Average = ChannelAverage
