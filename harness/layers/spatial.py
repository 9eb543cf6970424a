"""Feature pooling by pooling across channels: section 3 of the paper, Eq. (2).

Spatial: the paper's word for a max over neighbouring channels, and so the kind in a study; nothing is pooled over
height or width.

The n maps are divided into n/s groups of s neighbours, and each group gives its largest (or smallest) value
at every place. The paper does not say which maps form a group; neighbours, as a pooling window that moves
along the channels with stride s would have them, are our reading of "a pooling process along the channel".
"""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from harness.layers.compressor import reduced_channels
from harness.layers.kernels import eager
from harness.layers.kernels.choice import wanted
from harness.layers.memory_format import check_maps, is_channels_last

Reduction = Literal["max", "min"]


def channel_pool(x: Tensor, stride: int, reduce: Reduction = "max") -> Tensor:
    """Return the largest or smallest of every `stride` neighbouring channels, at each place.

    A NaN in a group makes its value NaN. The gradient goes to the channel that was taken; of equal ones, to
    the lowest. The output keeps the memory format of the input (NCHW or channels-last).

    Args:
        x: maps, (N, C, H, W), of any floating dtype.
        stride: s, the number of channels in a group; divides C.
        reduce: "max" or "min".

    Returns:
        (N, C/s, H, W), of the dtype of `x`.

    Raises:
        ValueError: `x` has not four dimensions, `stride` does not divide C, or `reduce` is another word.
    """
    check_maps(x, "channel_pool")
    _check_reduction(reduce)
    n, c, h, w = x.shape
    groups = reduced_channels(c, stride)
    if wanted(x):
        return eager.feature_pool(x, stride, reduce == "min")
    # Not amax and amin: these divide the gradient among equal values.
    if is_channels_last(x):
        grouped = x.permute(0, 2, 3, 1).view(n, h, w, groups, stride)
        return _reduce(grouped, 4, reduce).permute(0, 3, 1, 2)  # (N, C/s, H, W), again channels-last
    return _reduce(x.view(n, groups, stride, h, w), 2, reduce).contiguous()


def _reduce(x: Tensor, dim: int, reduce: Reduction) -> Tensor:
    return x.max(dim).values if reduce == "max" else x.min(dim).values


class ChannelPool2d(nn.Module):
    """`channel_pool` as a module without parameters: (N, C, H, W) → (N, C/stride, H, W)."""

    def __init__(self, stride: int, reduce: Reduction = "max") -> None:
        super().__init__()
        _check_reduction(reduce)
        self.stride = stride
        self.reduce: Reduction = reduce

    def forward(self, x: Tensor) -> Tensor:
        return channel_pool(x, self.stride, self.reduce)

    def extra_repr(self) -> str:
        return f"stride={self.stride}, reduce={self.reduce!r}"


@dataclass(frozen=True)
class ChannelPool:
    """Compressor: feature pooling by pooling across channels, Eq. (2)."""

    stride: int
    reduce: Reduction = "max"

    def __post_init__(self) -> None:
        _check_reduction(self.reduce)

    @property
    def commutes_with(self) -> frozenset[str]:
        """Both reductions move before ReLU, which is monotonic; the maximum also before max-pooling."""
        return frozenset({"relu", "max_pool"} if self.reduce == "max" else {"relu"})

    def conv_channels(self, channels: int) -> int:
        return channels

    def out_channels(self, channels: int) -> int:
        return reduced_channels(channels, self.stride)

    def layer(self, channels: int) -> ChannelPool2d:
        self.out_channels(channels)  # refuses a stride that does not divide
        return ChannelPool2d(self.stride, self.reduce)


def _check_reduction(reduce: str) -> None:
    if reduce not in get_args(Reduction):
        raise ValueError(f"reduce is 'max' or 'min', not {reduce!r}")


# The names of earlier releases: code and pickled models that have them keep working.
feature_pool = channel_pool
FeaturePool2d = ChannelPool2d
Spatial = ChannelPool
