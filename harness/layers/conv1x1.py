"""The learned rival of feature pooling: a 1×1 convolution that makes n/s channels of n (section 2.1 of the
paper).

The paper names it as the usual way to reduce channels, and does not say whether a normalisation or an activation
follows. Both readings are here: `Conv1x1` is linear and has a bias (before a 3×3 convolution it is a low-rank factor of
it), `Conv1x1BnRelu` is followed by batch normalisation, which makes a bias superfluous, and ReLU.
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


@dataclass(frozen=True)
class Conv1x1BnRelu:
    """Compressor: a 1×1 convolution without bias, batch normalisation and ReLU, (N, C, H, W) → (N, C/stride, H, W)."""

    stride: int

    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> nn.Sequential:
        made = self.out_channels(channels)
        return nn.Sequential(
            nn.Conv2d(channels, made, kernel_size=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
        )
