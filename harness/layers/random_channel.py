"""A control for feature pooling: one channel of every group, drawn before training and never changed.

What the maximum has over it is what looking at the values has over not looking. The other channels of a group are
computed and learn nothing, so that in effect it is a narrower convolution at the price of the wide one. Not in the
paper.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from harness.layers.compressor import reduced_channels
from harness.layers.memory_format import check_maps, like_input


class RandomChannel2d(nn.Module):
    """Keep channel `index[g]` for each group g: (N, C, H, W) → (N, C/stride, H, W), in the memory format of the input.

    The channels are the same for the same C, stride and `draw`, on every device.
    """

    index: Tensor  # int64 (C/stride,), increasing

    def __init__(self, channels: int, stride: int, draw: int = 0) -> None:
        super().__init__()
        groups = reduced_channels(channels, stride)
        generator = torch.Generator().manual_seed(draw)
        within = torch.randint(stride, (groups,), generator=generator, device="cpu")
        self.register_buffer("index", within + torch.arange(groups, device="cpu") * stride)
        self.stride, self.draw = stride, draw

    def forward(self, x: Tensor) -> Tensor:
        check_maps(x, "RandomChannel2d")
        return like_input(x.index_select(1, self.index), x)

    def extra_repr(self) -> str:
        return f"stride={self.stride}, draw={self.draw}"


@dataclass(frozen=True)
class RandomChannel:
    """Compressor: a fixed random channel of each group of `stride` neighbours; `draw` is the seed of the choice."""

    stride: int
    draw: Annotated[int, range(2**32)] = 0

    commutes_with: ClassVar[frozenset[str]] = frozenset({"relu", "max_pool"})

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> RandomChannel2d:
        return RandomChannel2d(channels, self.stride, self.draw)
