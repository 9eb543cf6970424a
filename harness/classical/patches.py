"""Patches as rows of a table, and estimates of patches averaged back into an image."""

import torch
from torch import Tensor

from harness.classical.tiles import Tile


def patch_table(image: Tensor, patch: int, tile: Tile | None = None) -> Tensor:
    """Return all patches of a tile's region (or of the image) as rows: (C, H, W) → (positions, C, k²)."""
    if tile is not None:
        image = image[:, tile.top : tile.bottom + patch - 1, tile.left : tile.right + patch - 1]
    windows = image.unfold(1, patch, 1).unfold(2, patch, 1)  # (C, rows, columns, k, k)
    return windows.permute(1, 2, 0, 3, 4).reshape(-1, len(image), patch * patch)


def add_rows(table: Tensor, index: Tensor, rows: Tensor) -> None:
    """Add rows to those of `table` at `index`, which may repeat; on CUDA too, always in the same order."""
    if table.is_cuda:
        table.index_put_((index,), rows, accumulate=True)  # sorts, where index_add_ adds in any order
    else:
        table.index_add_(0, index, rows)


class Aggregate:
    """The weighted average of overlapping estimates of patches: Σ w·patch / Σ w at each pixel and channel."""

    def __init__(self, like: Tensor, patch: int) -> None:
        """Start with nothing, for an image of the shape of `like`, (C, H, W)."""
        self._patch = patch
        self._sum = torch.zeros_like(like)
        self._weight = torch.zeros_like(like)

    def add(self, tile: Tile, estimates: Tensor, weights: Tensor, window: Tensor | None = None) -> None:
        """Add the estimates of all patches of a tile's region.

        Args:
            tile: where they lie.
            estimates: (positions, C, k²), sums of estimates that are already multiplied by their weights.
            weights: (positions, C) or (positions, 1), the sums of these weights.
            window: (k, k), by which the pixels of each patch are weighted besides; 1 if it is None.
        """
        k, channels = self._patch, len(self._sum)
        maps = estimates.reshape(len(estimates), -1).t().contiguous().view(channels, k * k, tile.height, tile.width)
        flat = weights.t().contiguous().view(-1, tile.height, tile.width)
        pixel_weights = [1.0] * (k * k) if window is None else window.flatten().tolist()
        for i, factor in enumerate(pixel_weights):
            top, left = tile.top + i // k, tile.left + i % k
            here = (slice(None), slice(top, top + tile.height), slice(left, left + tile.width))
            self._sum[here].add_(maps[:, i], alpha=factor)
            self._weight[here].add_(flat, alpha=factor)

    def result(self) -> Tensor:
        """Return the averages, (C, H, W). Every pixel must have been covered."""
        return self._sum / self._weight

    def blended(self, image: Tensor, weight: float) -> Tensor:
        """Return the averages with one more estimate, an image (C, H, W) of this weight."""
        return (self._sum + weight * image) / (self._weight + weight)
