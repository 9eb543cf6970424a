"""The learned rival of feature pooling: a 1×1 convolution that makes n/s channels of n (section 2.1 of the
paper).

It is linear and has a bias. The paper names it as the usual way to reduce channels, and does not say whether
a normalisation or an activation follows; none does here.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from harness.layers.compressor import reduced_channels


@dataclass(frozen=True)
class Conv1x1:
    """Compressor: a 1×1 convolution with bias, (N, C, H, W) → (N, C/stride, H, W)."""

    stride: int

    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> nn.Conv2d:
        return nn.Conv2d(channels, self.out_channels(channels), kernel_size=1, bias=True)
