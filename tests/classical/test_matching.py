"""Block matching against loops over all places, near the border too."""

import pytest
import torch

from harness.classical.matching import Matcher, box_sums
from harness.classical.tiles import cut, reference_places


def neighbours(guide, row, column, patch, radius):
    """Return (distance, row, column) of all patches in the window of a reference, sorted; itself is the first."""
    height, width = guide.shape[1:]
    reference = guide[:, row : row + patch, column : column + patch]
    found = []
    for y in range(max(row - radius, 0), min(row + radius, height - patch) + 1):
        for x in range(max(column - radius, 0), min(column + radius, width - patch) + 1):
            distance = (guide[:, y : y + patch, x : x + patch] - reference).square().sum().item()
            found.append((-1.0 if (y, x) == (row, column) else distance, y, x))
    return sorted(found)


@pytest.mark.parametrize(
    ("channels", "height", "width", "patch", "stride", "radius", "count", "side"),
    [
        (1, 16, 16, 8, 3, 19, 32, 96),  # a window wider than the image
        (1, 21, 30, 8, 3, 5, 16, 7),
        (3, 19, 24, 3, 2, 6, 108, 9),  # more than a corner's window holds
        (3, 17, 16, 7, 5, 4, 90, 100),
        (1, 16, 20, 5, 1, 1, 3, 1),  # a tile per reference
    ],
)
def test_matches_are_those_of_a_search_place_by_place(channels, height, width, patch, stride, radius, count, side):
    guide = torch.randn(channels, height, width, generator=torch.Generator().manual_seed(1)) * 50
    match = Matcher(guide, patch, radius, count)
    seen = []
    for tile in cut(height, width, patch, stride, radius, side):
        matches = match(tile)
        references = [(row, column) for row in tile.rows for column in tile.columns]
        seen += references
        for (row, column), index, distance, inside in zip(
            references, matches.index, matches.distance, matches.inside, strict=True
        ):
            expected = neighbours(guide, row, column, patch, radius)[:count]
            assert inside.tolist() == [place < len(expected) for place in range(len(inside))]
            places = [divmod(place, tile.width) for place in index.tolist()]
            places = [(y + tile.top, x + tile.left) for y, x in places]
            assert places[: len(expected)] == [(y, x) for _, y, x in expected]
            assert places[len(expected) :] == [(row, column)] * (len(places) - len(expected))
            wanted = torch.tensor([0.0, *(d for d, _, _ in expected[1:])])
            torch.testing.assert_close(distance[: len(expected)], wanted, rtol=1e-5, atol=1e-2)
    assert sorted(seen) == [
        (row, column)
        for row in reference_places(height, patch, stride)
        for column in reference_places(width, patch, stride)
    ]


def test_distances_keep_their_digits_beside_large_values():
    guide = torch.zeros(1, 16, 40)
    guide[0, :, :8] = 3000.0
    guide[0, :, 30:] = 0.01
    matcher = Matcher(guide, 8, 39, 40)
    (tile,) = cut(16, 40, 8, 40, 39, 100)
    matches = matcher(tile)
    last = matches.distance[1]  # of the reference at the right, (0, 32)
    assert last[1] == 0
    assert last[last > 0].min().item() == pytest.approx(8 * 1e-4, rel=1e-4)


@pytest.mark.parametrize("size", range(1, 10))
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("places", [(0, 1, 2), (0, 3), (2,), (0, 1, 3)])
def test_box_sums_are_sums_of_neighbours(size, dim, places):
    x = torch.randint(0, 100, (13, 12), generator=torch.Generator().manual_seed(size)).float()
    expected = x.unfold(dim, size, 1).sum(2).index_select(dim, torch.tensor(places))
    assert torch.equal(box_sums(x, size, dim, places), expected)


@pytest.mark.parametrize(("size", "patch", "stride"), [(16, 8, 3), (17, 8, 3), (16, 16, 1), (30, 5, 4), (19, 8, 11)])
def test_references_begin_at_the_first_place_and_end_at_the_last(size, patch, stride):
    places = reference_places(size, patch, stride)
    assert places[0] == 0
    assert places[-1] == size - patch
    assert list(places[:-1]) == list(range(0, size - patch, stride))


@pytest.mark.parametrize("side", [1, 4, 10, 1000])
def test_tiles_are_no_larger_than_asked(side):
    for tile in cut(50, 41, 8, 3, 6, side):
        assert tile.rows[-1] - tile.rows[0] < max(side, 1)
        assert tile.columns[-1] - tile.columns[0] < max(side, 1)
        assert (tile.top, tile.bottom) == (max(tile.rows[0] - 6, 0), min(tile.rows[-1] + 6, 42) + 1)
        assert (tile.left, tile.right) == (max(tile.columns[0] - 6, 0), min(tile.columns[-1] + 6, 33) + 1)
