"""`model: torchvision:NAME` for a small member of each family: built with feature pooling, it trains and is observed."""  # noqa: E501

import pytest
import torch

from harness.models.build import build_model
from harness.models.foreign import describe, on_meta

# Name: size of images, a site (None where there is none), shape of an image's last maps, length of what is hidden.
FAMILIES = {
    "alexnet": (64, "features.2", (256, 6, 6), 4096),
    "vgg11": (32, "features.2", (512, 7, 7), 4096),
    "resnet18": (64, "layer1", (512, 2, 2), 512),
    "squeezenet1_1": (48, "features.3", (10, 2, 2), 10),
    "densenet121": (64, "features.transition1", (1024, 2, 2), 1024),
    "googlenet": (64, "inception3a", (1024, 2, 2), 1024),
    "inception_v3": (107, "Mixed_5b", (2048, 2, 2), 2048),
    "shufflenet_v2_x0_5": (64, "maxpool", (1024, 2, 2), 1024),
    "mobilenet_v2": (64, "features.0", (1280, 2, 2), 1280),
    "mobilenet_v3_small": (64, "features.0", (576, 2, 2), 1024),
    "mnasnet0_5": (64, "layers.2", (1280, 2, 2), 1280),
    "efficientnet_b0": (64, "features.0", (1280, 2, 2), 1280),
    "regnet_x_400mf": (64, "stem", (400, 2, 2), 400),
    "convnext_tiny": (64, "features.2.0", (768, 2, 2), 768),
    "swin_t": (64, "permute", (768, 2, 2), 768),
    "swin_v2_t": (64, "permute", (768, 2, 2), 768),
    "vit_b_32": (64, None, (768, 2, 2), 768),
    "maxvit_t": (224, "stem", (512, 7, 7), 512),
}
HEAVY = {"alexnet", "vgg11", "inception_v3", "vit_b_32", "maxvit_t"}
"""They have 25 to 130 million weights, or large images only: shapes alone, on the meta device."""


def config(name, size, compressors=None):
    model = {"kind": f"torchvision:{name}", "input_shape": [3, size, size], "classes": 10}
    return {"model": model, "compressors": compressors or {}}


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_observed(name):
    """What is observed is maps (N, C, H, W), also where a network has its channels last on the way."""
    size, _, maps, hidden = FAMILIES[name]
    network = on_meta(lambda: build_model(config(name, size))).eval()
    with torch.device("meta"), torch.no_grad():
        seen = network.features(torch.empty(2, 3, size, size))
    assert [tuple(tensor.shape) for tensor in seen] == [(2, *maps), (2, hidden), (2, 10)]


def test_channels_last_of_a_transformer_are_no_maps():
    """At 32×32 Swin ends with one place, so its last maps are those of the patches."""
    network = on_meta(lambda: build_model(config("swin_t", 32))).eval()
    with torch.device("meta"), torch.no_grad():
        assert tuple(network.features(torch.empty(2, 3, 32, 32)).maps.shape) == (2, 96, 8, 8)


@pytest.mark.parametrize("name", sorted({*FAMILIES} - HEAVY))
def test_it_trains_with_feature_pooling(name):
    size, site, _, _ = FAMILIES[name]
    torch.manual_seed(0)
    network = build_model(config(name, size, {site: {"kind": "spatial", "stride": 2}})).train()
    logits = network(torch.randn(2, 3, size, size))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "inception_v3", "maxvit_t"])
def test_a_heavy_one_has_its_site(name):
    size, site, _, _ = FAMILIES[name]
    pooled = on_meta(lambda: build_model(config(name, size, {site: {"kind": "spatial", "stride": 2}}))).train()
    with torch.device("meta"):
        assert tuple(pooled(torch.empty(2, 3, size, size)).shape) == (2, 10)
    assert pooled.network.get_submodule(site).inserted.stride == 2


@pytest.mark.parametrize("name", ["vit_b_32", "vit_b_16"])
def test_a_vision_transformer_takes_the_size_of_the_images_and_has_no_site(name):
    assert describe(config(name, 64)["model"], []) == []
