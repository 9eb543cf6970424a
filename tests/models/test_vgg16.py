"""VGG-16 for CIFAR-10: the counts printed in Tables 2 and 3, the order of its parts, width and maxout."""

import math
from decimal import ROUND_DOWN, Decimal

import pytest
import torch
from torch.nn import functional as F

from harness.base.errors import HarnessError
from harness.cost.count import count_config
from harness.layers import ChannelPool, Conv1x1, Maxout, Width
from harness.models.vgg16 import Vgg16
from harness.trial.models import VGG16, WidthOptions

PLACEMENTS = {
    "Baseline": (),
    **{f"FP{n}": (f"conv{n}",) for n in range(1, 6)},
    "2FP": ("conv3", "conv4"),
    "3FP": ("conv3", "conv4", "conv5"),
    "4FP": ("conv2", "conv3", "conv4", "conv5"),
    "5FP": ("conv1", "conv2", "conv3", "conv4", "conv5"),
}
# Printed in Tables 2 and 3: millions (of 2^20) of parameters, and FLOPs.
PRINTED = {
    2: {
        "Baseline": ("14.06", 2.949e7), "FP1": ("14.02", 2.941e7), "FP2": ("13.92", 2.919e7), "FP3": ("13.50", 2.831e7),
        "FP4": ("12.93", 2.713e7), "FP5": ("14.05", 2.947e7), "2FP": ("12.37", 2.595e7), "3FP": ("12.36", 2.593e7),
        "4FP": ("12.22", 2.563e7), "5FP": ("12.19", 2.556e7),
    },
    4: {
        "Baseline": ("14.06", 2.949e7), "FP1": ("14.01", 2.937e7), "FP2": ("13.85", 2.904e7), "FP3": ("13.22", 2.772e7),
        "FP4": ("12.37", 2.595e7), "FP5": ("14.05", 2.946e7), "2FP": ("11.53", 2.418e7), "3FP": ("11.51", 2.415e7),
        "4FP": ("11.30", 2.371e7), "5FP": ("11.25", 2.360e7),
    },
}  # fmt: skip


def config(name, stride):
    sites = {site: {"kind": "spatial", "stride": stride} for site in PLACEMENTS[name]}
    return {"model": {"kind": "vgg16"}, "compressors": sites}


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("name", PLACEMENTS)
def test_parameters_are_those_printed_truncated(name, stride):
    millions = Decimal(int(count_config(config(name, stride))["variables"])) / 2**20
    assert str(millions.quantize(Decimal("0.01"), ROUND_DOWN)) == PRINTED[stride][name][0]


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("name", PLACEMENTS)
def test_flops_are_those_printed_but_for_one(name, stride):
    flops = count_config(config(name, stride))["paper_flops"]
    rounded = round(flops, 3 - int(math.log10(flops)))
    if (name, stride) == ("FP1", 4):
        assert (flops, rounded) == (29_376_700, 2.938e7)  # printed as 2.937e7
        return
    assert rounded == PRINTED[stride][name][1]


def test_the_baselines_variables_are_the_sum_of_its_parts():
    assert count_config(config("Baseline", 2))["variables"] == 14_730_944 + 4 * 4_224 + 50 == 14_747_890


def test_forward_is_the_formula():
    model = Vgg16({"conv2": ChannelPool(2), "conv5": ChannelPool(4)}, WidthOptions(width=0.125)).eval()
    generator = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():  # far from the start, where much of it would not be noticed
        if name.endswith(("running_var", "norms.0.weight", "norms.1.weight", "norms.2.weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            value.normal_(0, 0.3, generator=generator)
        elif value.ndim > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
    x = torch.randn(2, 3, 32, 32, generator=generator)
    y = x
    state = model.state_dict()
    for block, depth in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(depth):
            y = F.conv2d(y, state[f"conv{block}.convs.{i}.weight"], padding=1)
            norm = [
                state[f"conv{block}.norms.{i}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
            ]
            y = F.batch_norm(y, *norm).relu()
        if block < 5:
            y = F.max_pool2d(y, 2)
        stride = {2: 2, 5: 4}.get(block)
        if stride:
            y = y.unflatten(1, (-1, stride)).amax(2)
    seen = model.features(x)
    assert y.abs().mean() > 0.1
    torch.testing.assert_close(seen.maps, y)
    assert seen.maps.shape == (2, 16, 2, 2)
    assert seen.hidden.equal(seen.maps.flatten(1))
    logits = F.linear(y.flatten(1), state["fc.weight"], state["fc.bias"])
    fc_norm = [state[f"fc_norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    torch.testing.assert_close(model(x), F.batch_norm(logits, *fc_norm))


@pytest.mark.parametrize("training", [False, True])
def test_maxout_before_relu_and_pool_gives_the_values_of_feature_pooling_behind_them(training):
    options = WidthOptions(width=0.125)
    sites = ("conv1", "conv3", "conv5")
    behind = Vgg16(dict.fromkeys(sites, ChannelPool(2)), options).train(training)
    before = Vgg16(dict.fromkeys(sites, Maxout(2)), options).train(training)
    before.load_state_dict(behind.state_dict())
    x = torch.randn(4, 3, 32, 32)
    assert before(x).equal(behind(x))


def test_names_of_other_parameters_do_not_change():
    options = WidthOptions(width=0.125)
    names = {name for name, _ in Vgg16({}, options).named_parameters()}
    for compressor in (ChannelPool(2), Width(2), Maxout(2), Conv1x1(2)):
        found = {name for name, _ in Vgg16({"conv3": compressor}, options).named_parameters()}
        own = {"conv3.compressor.weight", "conv3.compressor.bias"} if isinstance(compressor, Conv1x1) else set()
        assert found == names | own


def test_width_scales_every_convolution():
    assert [site.channels for site in VGG16.sites_of(WidthOptions(width=0.3)).values()] == [19, 38, 77, 154, 154]
    model = Vgg16({}, WidthOptions(width=0.3))
    assert [getattr(model, f"conv{n}").convs[-1].out_channels for n in range(1, 6)] == [19, 38, 77, 154, 154]
    assert Vgg16({}, WidthOptions(width=0.001)).conv1.convs[0].out_channels == 1


def test_a_stride_must_divide_what_the_width_leaves():
    with pytest.raises(HarnessError, match=r"vgg16, site conv3: stride 2 does not divide 77 channels"):
        Vgg16({"conv3": ChannelPool(2)}, WidthOptions(width=0.3))


def test_width_as_a_compressor_narrows_the_last_convolution_of_its_block():
    model = Vgg16({"conv3": Width(2)})
    assert [conv.out_channels for conv in model.conv3.convs] == [256, 256, 128]
    assert model.conv4.convs[0].in_channels == 128
