"""The plain rival of feature pooling: the convolution before the site makes n/s channels in the first place.

These are the rows "Dimension reduction of Conv" of Table 1 (section 4.1 A).
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from harness.layers.compressor import reduced_channels


@dataclass(frozen=True)
class Width:
    """Compressor: nothing is at the site, since the convolution before it makes channels / stride."""

    stride: int

    commutes_with: ClassVar[frozenset[str]] = frozenset()  # there is nothing to move

    def conv_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> nn.Identity:
        self.out_channels(channels)  # refuses a stride that does not divide
        return nn.Identity()
