"""Block matching: for every reference patch of a tile, the most similar patches of its search window.

Instead of comparing patch by patch, the squared difference between the image and its copy moved by an offset is
computed once per offset and summed over k×k boxes; these sums, at the references, are the distances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

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
        radius: of the search window, which has 2·radius + 1 places per side.
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
        rows = [row - top for row in tile.rows]
        columns = [column - left for column in tile.columns]
        result = centre.new_empty(window, window, len(rows), len(columns))
        for down in range(window):
            strip = self._padded[:, top + down : top + down + height, left : left + width + window - 1]
            moved = strip.unfold(2, width, 1).transpose(1, 2)  # (C, window, height, width): moved to the right, a view
            squared = (moved - centre).square_()
            total = squared[0] if len(squared) == 1 else squared.sum(0)
            result[down] = box_sums(box_sums(total, k, 1, rows), k, 2, columns)
        return result.view(window * window, tile.references).t().contiguous()


def box_sums(x: Tensor, size: int, dim: int, places: Sequence[int]) -> Tensor:
    """Return the sums of `size` neighbours along `dim` that begin at some places, which `dim` has then.

    By doubling: sums of 2, 4, 8 … neighbours, the largest of which are put together at the places alone. Running sums
    would lose digits along a row.
    """
    sums = [x]  # of 1, 2, 4 … neighbours
    while 2 ** len(sums) < size:
        half = 2 ** (len(sums) - 1)
        length = sums[-1].shape[dim] - half
        sums.append(sums[-1].narrow(dim, 0, length) + sums[-1].narrow(dim, half, length))
    parts, done = [], 0
    for power in reversed(range(len(sums))):
        while size - done >= 2**power:
            parts.append(_at(sums[power], dim, [place + done for place in places]))
            done += 2**power
    return reduce(torch.add, parts)


def _at(x: Tensor, dim: int, places: Sequence[int]) -> Tensor:
    """Return the entries at some places along a dimension: a view if they are evenly spaced."""
    step = places[1] - places[0] if len(places) > 1 else 1
    if all(other - one == step for one, other in pairwise(places)):
        return x.narrow(dim, places[0], places[-1] + 1 - places[0])[(slice(None),) * dim + (slice(None, None, step),)]
    return x.index_select(dim, torch.tensor(places, device=x.device))


def _within(places: Tensor, last: int) -> Tensor:
    return (places >= 0) & (places <= last)
