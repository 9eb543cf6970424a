"""A network on an image of any size, in overlapping tiles so that memory is bounded.

The overlap is the network's reach: how far away a pixel of the input can be and still change a pixel of the output. It
is measured, with NaN, which nothing that a network computes makes disappear. With that overlap a tiled estimate equals
the untiled one but for rounding, also at the image's border, because only what lies outside the image is padded.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Estimator = Callable[[Tensor], Tensor]
"""Noisy images (N, C, H, W) → estimates of the same shape."""

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

ALIGNED = 16
"""Tiles begin at multiples of this, so that a network that halves height and width up to four times sees the same."""

_PROBES = (96, 192, 384)  # sides of the images on which the reach is measured, one after the other until it fits


class Span(NamedTuple):
    """One side of a tile: what is kept of its estimate, and what the network is given for that, ends excluded."""

    start: int
    stop: int
    first: int
    last: int


@torch.no_grad()
def reach(network: Estimator, channels: int, device: torch.device) -> int | None:
    """Return how many pixels away the input still changes the output; None if that is everywhere, or more than 175.

    Args:
        network: takes (1, `channels`, side, side) on `device`, on 0…255.
    """
    for side in _PROBES:
        start = (side - ALIGNED) // 2 // ALIGNED * ALIGNED
        probe = torch.zeros(1, channels, side, side, device=device)
        probe[..., start : start + ALIGNED, start : start + ALIGNED] = torch.nan
        touched = network(probe).isnan().any(0).any(0)  # (side, side)
        rows, columns = touched.any(1).nonzero().flatten(), touched.any(0).nonzero().flatten()
        if len(rows) == 0:
            return 0
        low, high = int(min(rows[0], columns[0])), int(max(rows[-1], columns[-1]))
        if low > 0 and high < side - 1:
            return max(0, start - low, high - (start + ALIGNED - 1))
    return None


@torch.no_grad()
def in_tiles(network: Estimator, noisy: Tensor, tile: int, overlap: int, progress: Progress | None = None) -> Tensor:
    """Return the estimate of images (N, C, H, W), made of tiles of `tile`×`tile` pixels; the same shape.

    Args:
        network: what is called on each tile with its surroundings.
        tile: side of what is kept of each; raised to a multiple of 16.
        overlap: pixels around a tile that the network also sees; raised to a multiple of 16.
        progress: called after each tile.
    """
    rows, columns = (list(spans(size, tile, overlap)) for size in noisy.shape[-2:])
    if len(rows) == len(columns) == 1:
        return network(noisy)
    estimate = torch.empty_like(noisy)
    for number, (y, x) in enumerate(((y, x) for y in rows for x in columns), start=1):
        part = network(noisy[..., y.first : y.last, x.first : x.last])
        estimate[..., y.start : y.stop, x.start : x.stop] = part[
            ..., y.start - y.first : y.stop - y.first, x.start - x.first : x.stop - x.first
        ]
        if progress is not None:
            progress(number, len(rows) * len(columns))
    return estimate


def spans(size: int, tile: int, overlap: int) -> Iterator[Span]:
    """Yield the tiles along one side of an image."""
    tile, overlap = (-(-number // ALIGNED) * ALIGNED for number in (tile, overlap))
    for start in range(0, size, tile):
        stop = min(start + tile, size)
        yield Span(start, stop, max(0, start - overlap), min(size, stop + overlap))
