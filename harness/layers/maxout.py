"""Maxout (Goodfellow et al., 2013): the maximum over groups of channels, before the activation instead of behind it.

Because the maximum commutes with ReLU and with max-pooling, a network with it computes what one with feature pooling
behind ReLU and max-pool computes: the operator of the paper is that of maxout networks, which it does not cite. It is
here so that this can be run, not only said.
"""

from dataclasses import dataclass
from typing import ClassVar

from harness.layers.compressor import Place, reduced_channels
from harness.layers.spatial import ChannelPool2d


@dataclass(frozen=True)
class Maxout:
    """Compressor: the maximum over groups of `stride` neighbouring channels, before ReLU and max-pool."""

    stride: int

    commutes_with: ClassVar[frozenset[str]] = frozenset({"relu", "max_pool"})
    place: ClassVar[Place] = "before_relu"

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> ChannelPool2d:
        self.out_channels(channels)  # refuses a stride that does not divide
        return ChannelPool2d(self.stride)
