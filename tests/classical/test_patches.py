"""Patches in tables and back in images, against loops."""

import pytest
import torch

from harness.classical.opponent import from_opponent, to_opponent
from harness.classical.patches import Aggregate, add_rows, patch_table
from harness.classical.tiles import cut


def test_a_table_holds_the_patches_of_a_tiles_region():
    image = torch.randn(3, 20, 18)
    for tile in cut(20, 18, 5, 2, 3, 6):
        table = patch_table(image, 5, tile)
        assert table.shape == (tile.height * tile.width, 3, 25)
        for place, patch in enumerate(table):
            y, x = tile.top + place // tile.width, tile.left + place % tile.width
            assert torch.equal(patch.view(3, 5, 5), image[:, y : y + 5, x : x + 5])


def test_rows_add_up_at_repeated_places():
    table, rows, index = torch.zeros(4, 2), torch.arange(10.0).view(5, 2), torch.tensor([3, 0, 3, 3, 1])
    add_rows(table, index, rows)
    assert table.tolist() == [[2, 3], [8, 9], [0, 0], [10, 13]]


@pytest.mark.parametrize("side", [1, 5, 100])
@pytest.mark.parametrize("weight_channels", [1, 2])
@pytest.mark.parametrize("windowed", [False, True])
def test_overlapping_estimates_are_averaged(side, weight_channels, windowed):
    generator = torch.Generator().manual_seed(side)
    image, patch = torch.zeros(2, 11, 9), 4
    window = torch.rand(patch, patch, generator=generator).double() if windowed else None
    aggregate = Aggregate(image, patch)
    top, bottom = torch.zeros(2, 11, 9), torch.zeros(2, 11, 9)
    for tile in cut(11, 9, patch, 2, 1, side):
        weights = torch.rand(tile.height * tile.width, weight_channels, generator=generator) + 0.1
        patches = torch.randn(len(weights), 2, patch * patch, generator=generator)
        aggregate.add(tile, patches * weights[:, :, None], weights, window)
        for place in range(len(weights)):
            y, x = tile.top + place // tile.width, tile.left + place % tile.width
            factor = weights[place, :, None, None] * (1 if window is None else window.float())
            top[:, y : y + patch, x : x + patch] += factor * patches[place].view(2, patch, patch)
            bottom[:, y : y + patch, x : x + patch] += factor.expand(2, patch, patch)
    torch.testing.assert_close(aggregate.result(), top / bottom)
    torch.testing.assert_close(aggregate.blended(torch.ones_like(image), 3.0), (top + 3) / (bottom + 3))


def test_the_opponent_transform_is_orthonormal_and_has_luminance_first():
    image = torch.rand(3, 4, 5, dtype=torch.float64) * 255
    turned = to_opponent(image)
    torch.testing.assert_close(turned[0], image.sum(0) / 3**0.5)
    torch.testing.assert_close(turned[1], (image[0] - image[2]) / 2**0.5)
    torch.testing.assert_close(turned[2], (image[0] - 2 * image[1] + image[2]) / 6**0.5)
    torch.testing.assert_close(turned.square().sum(0), image.square().sum(0))
    torch.testing.assert_close(from_opponent(turned), image)
    grey = image[:1]
    assert torch.equal(from_opponent(to_opponent(grey)), grey)
