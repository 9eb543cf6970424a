"""Counts against Table 1 of the paper, against torch's own counter, and by hand."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.base.errors import HarnessError
from harness.cost.count import Costs, count, count_config
from harness.models.build import build_model

SPATIAL_2 = {"conv2": {"kind": "spatial", "stride": 2}}
SPATIAL_4 = {"conv2": {"kind": "spatial", "stride": 4}}
TOPK_2 = {"conv2": {"kind": "topk", "stride": 2}}
TOPK_4 = {"conv2": {"kind": "topk", "stride": 4}}
WIDTH_2 = {"conv2": {"kind": "width", "stride": 2}}
WIDTH_4 = {"conv2": {"kind": "width", "stride": 4}}
CONV1X1_2 = {"conv2": {"kind": "conv1x1", "stride": 2}}

TABLE_1 = [  # compressors, parameters, as printed in units of 2^20, "Flops" as printed
    ({}, 12_855_498, "12.260", "2.571e+07"),
    (SPATIAL_2, 6_432_970, "6.135", "1.286e+07"),
    (SPATIAL_4, 3_221_706, "3.072", "6.442e+06"),
    (TOPK_2, 6_432_970, "6.135", "1.286e+07"),
    (TOPK_4, 3_221_706, "3.072", "6.442e+06"),
    (WIDTH_2, 6_430_650, "6.133", "1.286e+07"),
    (WIDTH_4, 3_218_226, "3.069", "6.435e+06"),
]


def config(compressors: dict) -> dict:
    return {"model": {"kind": "mnist_cnn"}, "compressors": compressors}


def torch_macs(model: nn.Module, *shape: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape))
    operations = counter.get_total_flops()
    assert operations % 2 == 0
    return operations // 2


@pytest.mark.parametrize(("compressors", "parameters", "printed", "flops"), TABLE_1)
def test_table_1(compressors, parameters, printed, flops):
    costs = count_config(config(compressors))
    assert costs["parameters"] == costs["variables"] == parameters
    assert f"{costs['parameters'] / 2**20:.3f}" == printed
    assert f"{costs['paper_flops']:.3e}" == flops


@pytest.mark.parametrize("compressors", [{}, SPATIAL_2, TOPK_4, WIDTH_2, CONV1X1_2])
def test_macs_are_half_of_torchs_flops(compressors):
    model = build_model(config(compressors))
    assert count_config(config(compressors))["macs"] == torch_macs(model, 1, 28, 28)


def test_macs_of_the_baseline_by_hand():
    convolutions = 28 * 28 * (9 * 1 * 16 + 9 * 16 * 32)
    assert count_config(config({}))["macs"] == convolutions + 32 * 28 * 28 * 512 + 512 * 10


def test_meta_and_cpu_agree():
    model = build_model(config(CONV1X1_2))
    assert count_config(config(CONV1X1_2)) == vars(count(model, (1, 28, 28)))


def test_batch_norm_has_four_variables_and_six_paper_flops_a_channel():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
    assert count(model, (3, 6, 6)) == Costs(
        parameters=216 + 16, variables=216 + 32, weights=216, macs=216 * 16, paper_flops=2 * 216 + 6 * 8
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 6, 3, stride=2),
        nn.Conv2d(4, 8, 3, groups=2, dilation=2, padding=1),
        nn.Conv2d(4, 8, 1, bias=False),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * 49, 5, bias=False), nn.Linear(5, 2)),
    ],
    ids=str,
)
def test_macs_of_other_layers(layer):
    assert count(layer, (4, 7, 7)).macs == torch_macs(layer, 4, 7, 7) > 0


class Tokens(nn.Module):
    """Attention between the places of a map: (N, 16, H, W) → (N, H·W, 16)."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        if not isinstance(self.layer, nn.MultiheadAttention):
            return self.layer(tokens)
        return self.layer(tokens, tokens, tokens, need_weights=False)[0]


ATTENTION = 4 * 64 * 16 * 16 + 2 * 64 * 64 * 16  # four projections of 64 tokens, and two products of tokens by tokens


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("make", "macs"),
    [
        (lambda: nn.MultiheadAttention(16, 4, batch_first=True), ATTENTION),
        (lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), ATTENTION + 2 * 64 * 16 * 32),
    ],
    ids=["attention", "transformer"],
)
def test_attention_counts_the_same_wherever_it_runs(make, macs, device):
    from torch.backends import mha

    fused = mha.get_fastpath_enabled()
    assert count(Tokens(make()).to(device), (16, 8, 8)).macs == macs
    assert mha.get_fastpath_enabled() == fused


def test_functional_convolutions_count():
    class Functional(nn.Module):
        def forward(self, x):
            return nn.functional.conv2d(x, torch.ones(2, 3, 1, 1))

    assert count(Functional(), (3, 5, 5)).macs == 2 * 3 * 25


def test_frozen_and_shared_parameters():
    first = nn.Linear(4, 4)
    frozen = nn.Linear(4, 4).requires_grad_(requires_grad=False)
    costs = count(nn.Sequential(first, first, frozen), (4,))
    assert (costs.parameters, costs.variables, costs.weights) == (20, 40, 32)


def test_a_model_without_parameters():
    assert count(nn.ReLU(), (3, 4, 4)) == Costs(0, 0, 0, 0, 0)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count(model, (1, 5, 5))
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_an_error_of_the_model_is_raised_and_its_mode_restored():
    model = nn.Conv2d(3, 4, 3)
    with pytest.raises(RuntimeError, match="channels"):
        count(model, (5, 8, 8))
    assert model.training


def test_counting_prints_nothing_and_draws_no_random_number(capfd):
    state = torch.get_rng_state()
    count_config(config(CONV1X1_2))
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("nn.Conv2d(channels, channels, 1)", "RuntimeError: "),  # too many
        ("{}['missing']", "KeyError: 'missing'"),
        ("nn.Sigmoid(1, 2)", "TypeError: "),
    ],
)
def test_a_plug_in_whose_layer_is_wrong_is_told_in_one_line(tmp_path, layer, said):
    (tmp_path / "wrong_layer.py").write_text(
        "from dataclasses import dataclass\nfrom torch import nn\n@dataclass(frozen=True)\nclass Wrong:\n"
        "    stride: int\n    commutes_with = frozenset()\n"
        "    def conv_channels(self, channels): return channels\n"
        "    def out_channels(self, channels): return channels // self.stride\n"
        f"    def layer(self, channels): return {layer}\n"
    )
    with pytest.raises(HarnessError, match=r"the network of mnist_cnn, wrong_layer:Wrong does not run: ") as caught:
        count_config(config({"conv2": {"kind": "wrong_layer:Wrong", "stride": 2}}), [tmp_path])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plugin_that_needs_values_is_counted_on_the_cpu(tmp_path):
    (tmp_path / "needs_values.py").write_text(
        "from dataclasses import dataclass\n"
        "from torch import nn\n"
        "class Layer(nn.Conv2d):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) * x.sum().item()\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    stride: int\n"
        "    commutes_with = frozenset()\n"
        "    def conv_channels(self, channels): return channels\n"
        "    def out_channels(self, channels): return channels // self.stride\n"
        "    def layer(self, channels): return Layer(channels, channels // self.stride, 1)\n"
    )
    state = torch.get_rng_state()
    mine = {"conv2": {"kind": "needs_values:Mine", "stride": 2}}
    assert count_config(config(mine), [tmp_path]) == count_config(config(CONV1X1_2))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("compressors", "parameters"),
    [
        ({}, 25_557_032),
        ({"layer1": {"kind": "spatial", "stride": 2}}, 25_475_112),  # 512·128 and 128·128 weights less
        ({"layer2": {"kind": "spatial", "stride": 2}}, 25_229_352),  # 1024·256 and 256·256 less
    ],
)
def test_resnet50_with_feature_pooling_behind_its_stages(compressors, parameters):
    model = {"kind": "torchvision:resnet50", "classes": 1000, "input_shape": [3, 224, 224]}
    costs = count_config({"model": model, "compressors": compressors})
    assert costs["parameters"] == parameters
