"""Tiles give what the whole image gives, if they overlap by the network's reach; the reach is what it should be."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.denoiser.tiling import ALIGNED, in_tiles, reach, spans

CPU = torch.device("cpu")


def _convs(depth, kernel=3):
    layers = [nn.Conv2d(1, 1, kernel, padding=kernel // 2).double() for _ in range(depth)]
    return nn.Sequential(*layers)


class _Strided(nn.Module):
    """Halves height and width twice, with padding to a multiple at the lower right, as denoisers do."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)).double()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(4, 4, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(4, 1, 4, 2, 1)
        ).double()

    def forward(self, x):
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate")
        return self.up(self.down(padded))[..., :height, :width]


@pytest.mark.parametrize(("depth", "kernel", "far"), [(1, 1, 0), (3, 3, 3), (10, 3, 10), (4, 9, 16)])
def test_the_reach_of_convolutions_is_the_sum_of_their_radii(depth, kernel, far):
    network = _convs(depth, kernel)
    assert reach(lambda x: network(x.double()), 1, CPU) == far


@pytest.mark.parametrize(("far", "found"), [(100, 100), (175, 175), (176, None)])
def test_a_network_that_looks_too_far_has_no_reach(far, found):
    def network(x):
        highest = F.max_pool2d(x, (2 * far + 1, 1), 1, (far, 0))
        return F.max_pool2d(highest, (1, 2 * far + 1), 1, (0, far))

    assert reach(network, 1, CPU) == found


def test_a_network_that_looks_everywhere_has_no_reach():
    assert reach(lambda x: x - x.mean(), 1, CPU) is None


@pytest.mark.parametrize("size", [(64, 64), (70, 33), (200, 101), (49, 50), (1, 90)])
@pytest.mark.parametrize("make", [lambda: _convs(5), _Strided])
@torch.no_grad()
def test_tiles_that_overlap_by_the_reach_give_what_the_whole_image_gives(size, make):
    network = make()
    image = 255 * torch.rand(2, 1, *size, dtype=torch.float64)
    far = reach(lambda x: network(x.double()), 1, CPU)
    tiled = in_tiles(network, image, 32, far)
    assert torch.allclose(tiled, network(image), rtol=0, atol=1e-9)


@torch.no_grad()
def test_tiles_that_overlap_by_less_do_not():
    network = _convs(20)
    image = 255 * torch.rand(1, 1, 96, 96, dtype=torch.float64)
    for convolution in network:
        nn.init.constant_(convolution.weight, 1 / 9)
    assert not torch.allclose(in_tiles(network, image, 32, 0), network(image), rtol=0, atol=1e-3)


@torch.no_grad()
def test_progress_counts_the_tiles():
    seen = []
    in_tiles(nn.Identity(), torch.zeros(1, 1, 40, 60), 32, 0, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(("size", "tile", "overlap"), [(1, 512, 10), (100, 20, 5), (96, 32, 16), (97, 32, 40)])
def test_the_spans_of_a_side_cover_it_once_and_begin_where_a_halving_network_would(size, tile, overlap):
    found = list(spans(size, tile, overlap))
    assert [pixel for span in found for pixel in range(span.start, span.stop)] == list(range(size))
    for span in found:
        assert span.first % ALIGNED == 0
        assert span.first == 0 or span.start - span.first >= overlap
        assert span.last == size or span.last - span.stop >= overlap
