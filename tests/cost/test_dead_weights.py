"""Weights that meet only padding: the geometry's count is autograd's, and that of the reconstructed denoiser."""

import pytest
import torch

from harness.cost.dead_weights import dead_weights
from harness.models.build import build_model

SPATIAL = {"kind": "spatial", "stride": 2}
BOTH = {"fp1": SPATIAL, "fp2": SPATIAL}


def config(compressors, **options):
    return {"model": {"kind": "denoiser", **options}, "compressors": compressors}


@pytest.mark.parametrize(
    ("compressors", "dead"),
    [({}, 12_582_912), (BOTH, 3_145_728)],  # of 70,994,880 and of 20,306,880
    ids=["baseline", "2FP"],
)
def test_at_the_size_of_cifar_many_weights_of_the_denoiser_never_meet_a_pixel(compressors, dead):
    assert dead_weights(config(compressors), 32, 32) == dead


def without_gradient(network, height, width, images=16):
    """Return how many weights of convolutions have gradient exactly 0 for random images."""
    torch.manual_seed(1)
    model = build_model(network).double()
    noisy = torch.randn(images, 3, height, width, dtype=torch.float64) * 100
    (model(noisy) ** 3).mean().backward()
    return sum(int((weight.grad == 0).sum()) for weight in model.parameters() if weight.ndim == 4)


AVERAGE = {"kind": "average", "stride": 2}
"""In place of a maximum, so that no channel is without gradient because it is never the largest of its group."""


@pytest.mark.parametrize("compressors", [{}, {"fp1": AVERAGE, "fp2": AVERAGE}], ids=["baseline", "2FP"])
@pytest.mark.parametrize(
    "options", [{}, {"downsample": "pool"}, {"merge": "per_branch", "skips": True, "scaled": True}], ids=str
)
@pytest.mark.parametrize("size", [(32, 32), (16, 40), (8, 8)], ids=str)
def test_geometry_counts_what_autograd_finds(compressors, options, size):
    network = config(compressors, width=0.0625, **options)
    assert dead_weights(network, *size) == without_gradient(network, *size) > 0


def test_geometry_counts_what_autograd_finds_with_feature_pooling():
    network = config(BOTH, width=0.0625)
    assert dead_weights(network, 32, 32) == without_gradient(network, 32, 32) == 3_145_728 // 16**2


def test_none_are_dead_where_maps_are_as_large_as_kernels():
    network = config({}, width=0.0625)
    assert dead_weights(network, 72, 72) == without_gradient(network, 72, 72, images=4) == 0
    assert dead_weights({"model": {"kind": "dncnn", "depth": 3, "width": 2}, "compressors": {}}, 1, 1) == 8 * (12 + 4)
