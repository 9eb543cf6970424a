"""What a compressor answers, so that no model knows which compressors exist and no compressor knows a model.

A compressor reduces n channels to n/stride at a site of a network (section 3 of the paper). It is a small
frozen object, equal to another one with the same options; the module that does the work comes from `layer`.
"""

from typing import Literal, Protocol, runtime_checkable

from torch import nn

Place = Literal["behind", "before_relu"]
"""Where at a site a layer is: behind all of it, or before its activation (and what follows that)."""


@runtime_checkable
class Compressor(Protocol):
    """The questions that a model asks about what is at one of its sites, of `channels` channels."""

    @property
    def stride(self) -> int:
        """How many channels become one."""
        ...

    @property
    def commutes_with(self) -> frozenset[str]:
        """Before which of "relu" and "max_pool" it may move without changing a value."""
        ...

    def conv_channels(self, channels: int) -> int:
        """Return how many channels the convolution before the site makes."""
        ...

    def out_channels(self, channels: int) -> int:
        """Return how many channels the next layer reads."""
        ...

    def layer(self, channels: int) -> nn.Module:
        """Return what is at the site: (N, conv_channels, H, W) → (N, out_channels, H, W)."""
        ...


def place_of(compressor: Compressor) -> Place:
    """Return where a compressor is: its attribute `place`, "behind" if it has none."""
    place: Place = getattr(compressor, "place", "behind")
    if place not in {"behind", "before_relu"}:
        raise ValueError(f"place is 'behind' or 'before_relu', not {place!r}")
    return place


def reduced_channels(channels: int, stride: int) -> int:
    """Return channels / stride.

    Raises:
        ValueError: `stride` is below 1 or does not divide `channels`.
    """
    if stride < 1:
        raise ValueError(f"stride {stride} is below 1")
    if channels % stride:
        raise ValueError(f"stride {stride} does not divide {channels} channels")
    return channels // stride
