"""The grid of reference patches, cut into tiles, so that memory is bounded whatever the image's size.

A position is a patch's upper left pixel. The references are every `stride`-th position, and always the last row and
column of positions, so that every pixel is covered. A tile is a rectangle of references with its *region*: all
positions that lie in the search window of one of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tile:
    """References (rows × columns) and the rectangle of positions that their search windows reach, ends excluded."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def references(self) -> int:
        return len(self.rows) * len(self.columns)

    def blocks(self, side: int) -> "Iterator[Tile]":
        """Yield the references in squares of `side` pixels, each with the region of the whole tile.

        What lies near together is used near together, while it is in a processor's cache.
        """
        for rows in _chunks(self.rows, side):
            for columns in _chunks(self.columns, side):
                yield replace(self, rows=rows, columns=columns)


def reference_places(size: int, patch: int, stride: int) -> tuple[int, ...]:
    """Return the places of reference patches along one side: every `stride`-th, and the last."""
    last = size - patch
    return (*range(0, last, stride), last)


def cut(height: int, width: int, patch: int, stride: int, radius: int, side: int) -> list[Tile]:
    """Return the tiles of an image, none of which has references further apart than `side` pixels."""
    rows = list(_chunks(reference_places(height, patch, stride), side))
    columns = list(_chunks(reference_places(width, patch, stride), side))
    return [
        Tile(
            r,
            c,
            max(r[0] - radius, 0),
            min(r[-1] + radius, height - patch) + 1,
            max(c[0] - radius, 0),
            min(c[-1] + radius, width - patch) + 1,
        )
        for r in rows
        for c in columns
    ]


def _chunks(places: tuple[int, ...], side: int) -> Iterator[tuple[int, ...]]:
    chunk: list[int] = []
    for place in places:
        if chunk and place - chunk[0] >= side:
            yield tuple(chunk)
            chunk = []
        chunk.append(place)
    yield tuple(chunk)
