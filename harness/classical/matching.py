"""Block matching: for every reference patch of a tile, the most similar patches of its search window.

Instead of comparing patch by patch, the squared difference between the image and its copy moved by an offset is
computed once per offset and summed over k×k boxes; these sums, at the references, are the distances.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.classical.tiles import Tile


@dataclass(frozen=True)
class Matches:
    """The nearest patches of R references, each row sorted by distance; the reference itself is the first.

    Attributes:
        index: (R, N) int64, positions in the tile's region, row by row.
        distance: (R, N), the squared differences summed over pixels and channels; 0 for the reference.
        inside: (R, N) bool, False if a window has fewer than N patches: such a place repeats the reference.
    """

    index: Tensor
    distance: Tensor
    inside: Tensor


class Matcher:
    """Finds the patches of one image that are most similar to the reference patches of its tiles.

    Args:
        guide: the image whose differences count, (C, H, W).
        patch: k, the side of a patch.
        radius: of the search window, which has 2·radius + 1 places a side.
        count: N, the most patches that a reference gets.
    """

    def __init__(self, guide: Tensor, patch: int, radius: int, count: int) -> None:
        self._patch = patch
        self._radius = radius
        self._count = min(count, (2 * radius + 1) ** 2)
        self._guide = guide
        # Replicated, not filled with a large number: sums beside it would lose the small differences. What lies
        # outside is marked later.
        self._padded = F.pad(guide[None], (radius,) * 4, mode="replicate")[0]

    def __call__(self, tile: Tile) -> Matches:
        distance = self._distances(tile)  # (R, window²)
        window = 2 * self._radius + 1
        device = distance.device
        rows, columns = torch.tensor(tile.rows, device=device), torch.tensor(tile.columns, device=device)
        offsets = torch.arange(-self._radius, self._radius + 1, device=device)
        row_inside = _within(rows[:, None] + offsets, self._guide.shape[1] - self._patch)  # (rows, window)
        column_inside = _within(columns[:, None] + offsets, self._guide.shape[2] - self._patch)
        inside = row_inside[:, None, :, None] & column_inside[None, :, None, :]
        distance.masked_fill_(~inside.reshape(distance.shape), torch.inf)
        distance[:, window * window // 2] = -1
        nearest, choice = distance.topk(self._count, largest=False, sorted=True)
        nearest[:, 0] = 0
        found = torch.isfinite(nearest)
        home = ((rows[:, None] - tile.top) * tile.width + (columns - tile.left)).reshape(-1, 1)
        moved = home + offsets[choice // window] * tile.width + offsets[choice % window]
        return Matches(torch.where(found, moved, home), nearest, found)

    def _distances(self, tile: Tile) -> Tensor:
        """Return the distances of every reference to each place of its window, (R, window²)."""
        k, window = self._patch, 2 * self._radius + 1
        top, left = tile.rows[0], tile.columns[0]
        height, width = tile.rows[-1] + k - top, tile.columns[-1] + k - left
        centre = self._guide[:, None, top : top + height, left : left + width]
        rows = torch.tensor(tile.rows, device=centre.device) - top
        columns = torch.tensor(tile.columns, device=centre.device) - left
        result = centre.new_empty(len(rows), len(columns), window, window)
        for down in range(window):
            strip = self._padded[:, top + down : top + down + height, left : left + width + window - 1]
            moved = strip.unfold(2, width, 1).transpose(1, 2)  # (C, window, height, width): moved to the right, a view
            squared = (moved - centre).square_()
            total = squared[0] if len(squared) == 1 else squared.sum(0)
            sums = box_sums(box_sums(total, k, 1).index_select(1, rows), k, 2).index_select(2, columns)
            result[:, :, down] = sums.permute(1, 2, 0)
        return result.view(tile.references, window * window)


def box_sums(x: Tensor, size: int, dim: int) -> Tensor:
    """Return the sums of `size` neighbours along `dim`, which becomes size − 1 shorter.

    By doubling: sums of 2, 4, 8 … neighbours, put together. Running sums would lose digits along a row.
    """
    length = x.shape[dim] - size + 1
    result, done, doubled = None, 0, 1
    while True:
        if size & doubled:
            part = x.narrow(dim, done, length)
            result = part if result is None else result + part
            done += doubled
        if done == size:
            return result if result is not None else x
        half = x.shape[dim] - doubled
        x = x.narrow(dim, 0, half) + x.narrow(dim, doubled, half)
        doubled *= 2


def _within(places: Tensor, last: int) -> Tensor:
    return (places >= 0) & (places <= last)
