"""Feature pooling at every listed site of one small network of each of torchvision's families, forward and backward.

Small: few blocks, narrow where the constructor lets them be, and images as small as the architecture takes. Every kind
of block and connection of the family is there. Several sites that have nothing to do with each other are pooled in
one pass.
"""

import copy
from functools import partial
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn

from harness.layers import ChannelPool, insert_after
from harness.layers.insert.attempt import apart
from harness.layers.insert.install import install
from harness.layers.insert.rewire import rewire
from harness.models.site_costs import site_costs
from harness.torchvision_compat import import_torchvision

CLASSES = 5


def models(name):
    import_torchvision()
    return import_module(f"torchvision.models.{name}")


def builder(name, **options):
    import_torchvision()
    return getattr(import_module("torchvision.models"), name)(num_classes=CLASSES, **options)


def vgg(norm):
    m = models("vgg")
    layers = m.make_layers([8, "M", 16, "M", 16, 16, "M", 32, "M", 512, "M"], batch_norm=norm)
    return with_small_classifier(m.VGG(layers, num_classes=CLASSES, init_weights=False), 512 * 7 * 7)


def with_small_classifier(network, features):
    """Put a classifier like the network's own in its place, which has 4,096 features and most of the work."""
    network.classifier = nn.Sequential(
        nn.Dropout(), nn.Linear(features, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(True),
        nn.Linear(16, CLASSES),
    )  # fmt: skip
    return network


def alexnet():
    return with_small_classifier(builder("alexnet"), 256 * 6 * 6)


def resnet(block, **options):
    m = models("resnet")
    return m.ResNet(getattr(m, block), [2, 1, 1, 2], num_classes=CLASSES, **options)


def densenet():
    return models("densenet").DenseNet(4, (2, 3, 2, 2), 8, num_classes=CLASSES)


def shufflenet():
    return models("shufflenetv2").ShuffleNetV2([2, 2, 2], [8, 16, 32, 64, 32], num_classes=CLASSES)


def mobilenet_v2():
    settings = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 1]]
    return models("mobilenetv2").MobileNetV2(CLASSES, 0.5, inverted_residual_setting=settings)


def efficientnet(version):
    m = models("efficientnet")
    block = partial(m.MBConvConfig, width_mult=1.0, depth_mult=1.0)
    first = m.FusedMBConvConfig(1, 3, 1, 8, 8, 2) if version == 2 else block(1, 3, 1, 8, 8, 2)
    fused = [m.FusedMBConvConfig(4, 3, 2, 8, 16, 2)] if version == 2 else []
    last = [block(4, 5, 2, 16 if fused else 8, 24, 2)]
    return m.EfficientNet([first, *fused, *last], 0.2, 0.2, num_classes=CLASSES)


def regnet(se_ratio):
    m = models("regnet")
    blocks = m.BlockParams([1, 2], [16, 32], [8, 8], [1.0, 1.0], [2, 2], se_ratio)
    return m.RegNet(blocks, num_classes=CLASSES, stem_width=8)


def convnext():
    m = models("convnext")
    return m.ConvNeXt([m.CNBlockConfig(8, 16, 2), m.CNBlockConfig(16, 32, 1), m.CNBlockConfig(32, None, 1)], 0.1,
                      num_classes=CLASSES)  # fmt: skip


def swin(version):
    m = models("swin_transformer")
    kinds = {"block": m.SwinTransformerBlockV2, "downsample_layer": m.PatchMergingV2} if version == 2 else {}
    return m.SwinTransformer([4, 4], 8, [2, 2], [2, 2], [2, 2], num_classes=CLASSES, **kinds)


def vit():
    return models("vision_transformer").VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=CLASSES)


def maxvit():
    return models("maxvit").MaxVit((64, 64), 8, 4, [8, 16], [1, 2], 4, 0.1, num_classes=CLASSES)


# Family: the network, the size of images, the least number of sites that feature pooling of stride 2 must have there.
FAMILIES = {
    "alexnet": (alexnet, 64, 15),
    "vgg": (partial(vgg, norm=False), 32, 15),
    "vgg with normalisation": (partial(vgg, norm=True), 32, 20),
    "resnet": (partial(resnet, "BasicBlock"), 32, 20),
    "resnet, bottlenecks": (partial(resnet, "Bottleneck", width_per_group=16), 32, 35),
    "resnext": (partial(resnet, "Bottleneck", groups=4, width_per_group=8), 32, 20),
    "squeezenet": (partial(builder, "squeezenet1_1"), 48, 60),
    "densenet": (densenet, 32, 50),
    "googlenet": (partial(builder, "googlenet", aux_logits=True, init_weights=False), 32, 200),
    "inception": (partial(builder, "inception_v3", aux_logits=False, init_weights=False), 75, 290),
    "shufflenet": (shufflenet, 32, 30),
    "mobilenet v2": (mobilenet_v2, 32, 25),
    "mobilenet v3": (partial(builder, "mobilenet_v3_small", width_mult=0.5), 32, 100),
    "mnasnet": (partial(builder, "mnasnet0_5"), 32, 100),
    "efficientnet": (partial(efficientnet, 1), 32, 30),
    "efficientnet v2": (partial(efficientnet, 2), 32, 35),
    "regnet x": (partial(regnet, None), 32, 15),
    "regnet y": (partial(regnet, 0.25), 32, 20),
    "convnext": (convnext, 32, 2),
    "swin": (partial(swin, 1), 32, 1),
    "swin v2": (partial(swin, 2), 32, 1),
    "vit": (vit, 32, 0),
    "maxvit": (maxvit, 64, 20),
}


def sharing(model):
    """Return a copy of a network's modules on the network's own tensors."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, tensors)


def trained_a_step(model, x):
    """Return the logits of a training pass, and the parameters that its backward pass reaches."""
    model.zero_grad(set_to_none=True)
    out = model.train()(x)
    outs = [out] if isinstance(out, Tensor) else [*out]
    sum(logits.square().mean() for logits in outs).backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    return outs[0], reached


@pytest.mark.parametrize("family", FAMILIES)
def test_every_listed_site_trains(family):
    build, size, at_least = FAMILIES[family]
    torch.manual_seed(0)
    model = build()
    shape = (3, size, size)
    found = site_costs(model, shape, 2)
    assert len(found.sites) >= at_least
    assert all(reason and "\n" not in reason for reason in found.refused.values())
    x = torch.randn(2, *shape)
    _, reached = trained_a_step(model, x)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = apart(found.insertion(site) for site in found.sites)
    assert sum(len(group) for group in groups) == len(found.sites)
    for group in groups:
        pooled = sharing(model)
        for insertion in group:
            rewire(pooled, insertion.plan.changes, insertion.reduction, "slice")
            install(pooled, insertion.plan.at, insertion.layer)
        at = [insertion.plan.at for insertion in group]
        logits, now = trained_a_step(pooled, x)
        assert logits.shape == (2, CLASSES), at
        assert logits.isfinite().all(), at
        assert now == reached, at
        changed = {path for insertion in group for path in insertion.plan.changes}
        for name, parameter in pooled.named_parameters():
            if name.rpartition(".")[0] not in changed:
                assert torch.equal(parameter, before[name]), (at, name)
        saved = sum(site.saved.parameters for site in found.sites if site.path in at)
        assert sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in pooled.parameters()) == saved


@pytest.mark.parametrize("family", ["densenet", "shufflenet", "efficientnet", "regnet y"])
def test_that_is_what_insert_after_does(family):
    build, size, _ = FAMILIES[family]
    torch.manual_seed(0)
    model = build()
    shape = (3, size, size)
    found = site_costs(model, shape, 2)
    pooled = [found.insertion(site) for site in found.sites]
    insertion = pooled[len(pooled) // 2]
    by_hand = sharing(model)
    rewire(by_hand, insertion.plan.changes, insertion.reduction, "slice")
    install(by_hand, insertion.plan.at, insertion.layer)
    inserted = insert_after(model, insertion.path, ChannelPool(2), input_shape=shape)
    assert [*inserted.state_dict()] == [*by_hand.state_dict()]
    assert all(
        torch.equal(a, b) for a, b in zip(inserted.state_dict().values(), by_hand.state_dict().values(), strict=True)
    )
    assert str(inserted) == str(by_hand)
