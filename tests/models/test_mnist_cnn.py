"""The network for MNIST: shapes, counts, names, and one path for what is observed and what is trained."""

import pytest
import torch
from torch import nn

from harness.base.errors import HarnessError
from harness.layers import ChannelPool, ChannelTopK, Conv1x1, Width
from harness.models.build import build_model
from harness.models.mnist_cnn import MnistCnn
from harness.models.sites import check_sites
from harness.trial.models import ModelDeclaration, ModelOptions, Site

OTHERS = {f"{module}.{kind}" for module in ("conv1", "conv2", "fc1", "fc2") for kind in ("weight", "bias")}


@pytest.mark.parametrize(
    ("compressor", "parameters", "maps"),
    [
        (None, 12_855_498, 32),
        (ChannelPool(2), 6_432_970, 16),
        (ChannelPool(4), 3_221_706, 8),
        (ChannelTopK(2), 6_432_970, 16),
        (ChannelTopK(4), 3_221_706, 8),
        (Width(2), 6_430_650, 16),
        (Width(4), 3_218_226, 8),
        (Conv1x1(2), 6_432_970 + 32 * 16 + 16, 16),
    ],
    ids=str,
)
def test_counts_and_shapes(compressor, parameters, maps):
    model = MnistCnn({} if compressor is None else {"conv2": compressor})
    assert sum(p.numel() for p in model.parameters()) == parameters
    seen = model.features(torch.randn(3, 1, 28, 28))
    assert seen.maps.shape == (3, maps, 28, 28)
    assert seen.hidden.shape == (3, 512)
    assert seen.logits.shape == (3, 10)
    assert model.fc1.in_features == maps * 28 * 28


@pytest.mark.parametrize("compressor", [ChannelPool(2), Width(2), Conv1x1(2)], ids=str)
def test_names_of_other_parameters_do_not_change(compressor):
    assert {name for name, _ in MnistCnn({}).named_parameters()} == OTHERS
    names = {name for name, _ in MnistCnn({"conv2": compressor}).named_parameters()}
    own = {"compressors.conv2.weight", "compressors.conv2.bias"} if isinstance(compressor, Conv1x1) else set()
    assert names == OTHERS | own


def test_forward_is_the_formula_with_the_compressor_after_relu():
    model = MnistCnn({"conv2": ChannelPool(2, "min")})
    x = torch.randn(2, 1, 28, 28)
    f = nn.functional
    y = f.relu(f.conv2d(x, model.conv1.weight, model.conv1.bias, padding=1))
    y = f.relu(f.conv2d(y, model.conv2.weight, model.conv2.bias, padding=1))
    y = torch.minimum(y[:, 0::2], y[:, 1::2])
    hidden = f.relu(y.reshape(2, -1) @ model.fc1.weight.T + model.fc1.bias)
    seen = model.features(x)
    torch.testing.assert_close(seen.maps, y)
    torch.testing.assert_close(seen.hidden, hidden)
    torch.testing.assert_close(model(x), hidden @ model.fc2.weight.T + model.fc2.bias)
    assert torch.equal(model(x), seen.logits)


@pytest.mark.parametrize("compressors", [{}, {"conv2": ChannelPool(2)}, {"conv2": ChannelTopK(2)}], ids=str)
def test_channels_last_gives_the_same(compressors):
    model = MnistCnn(compressors)
    x = torch.randn(2, 1, 28, 28)
    expected = model(x)
    model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("compressor", [ChannelPool(2), ChannelTopK(4), Conv1x1(2), Width(2)], ids=str)
def test_every_parameter_learns(compressor):
    model = MnistCnn({"conv2": compressor})
    nn.functional.cross_entropy(model(torch.randn(8, 1, 28, 28)), torch.arange(8)).backward()
    assert all(p.grad is not None and p.grad.count_nonzero() for p in model.parameters())


def test_a_model_is_built_from_its_configuration():
    compressors = {"conv2": {"kind": "topk", "stride": 4, "largest": False}}
    model = build_model({"model": {"kind": "mnist_cnn"}, "compressors": compressors, "data": {}})
    assert isinstance(model, MnistCnn)
    assert model.compressors["conv2"].k == 8
    assert not model.compressors["conv2"].largest


@pytest.mark.parametrize(
    ("model", "compressors", "message"),
    [
        ({"kind": "mnist_cn"}, {}, "unknown model 'mnist_cn'; did you mean 'mnist_cnn'?"),
        ({}, {}, "unknown model 'None'"),
        ({"kind": "mnist_cnn", "depth": 3}, {}, "model 'mnist_cnn': option 'depth'"),
        ({"kind": "mnist_cnn"}, {"conv3": {"kind": "width", "stride": 2}}, "did you mean 'conv2'?"),
        ({"kind": "mnist_cnn"}, {"conv2": {"kind": "topk", "stride": 3}}, "stride 3 does not divide 32"),
        ({"kind": "mnist_cnn"}, {"conv2": {"kind": "topkk", "stride": 2}}, "unknown compressor 'topkk'"),
        ({"kind": "my_plain_network:Plain"}, {}, "has no 'declaration'"),
        ({"kind": "my_plain_network:Plian"}, {}, "has no 'Plian'"),
    ],
)
def test_errors_are_one_line(model, compressors, message, tmp_path):
    (tmp_path / "my_plain_network.py").write_text("class Plain:\n    pass\n")
    with pytest.raises(HarnessError) as raised:
        build_model({"model": model, "compressors": compressors}, [tmp_path])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_cannot_be_narrowed_is_refused_for_width_alone():
    fixed = ModelDeclaration("fixed", (1, 8, 8), 10, {"a": Site("a", 8, narrowable=False)}, code="none:None")
    check_sites(fixed, ModelOptions(), {"a": ChannelPool(2)})
    with pytest.raises(HarnessError, match="site a: the convolution before it cannot be narrowed"):
        check_sites(fixed, ModelOptions(), {"a": Width(2)})


def test_a_plugged_in_model(tmp_path):
    (tmp_path / "my_network.py").write_text(
        "from harness.models.mnist_cnn import MnistCnn\nclass Mine(MnistCnn):\n    pass\n"
    )
    model = build_model({"model": {"kind": "my_network:Mine"}, "compressors": {}}, [tmp_path])
    assert type(model).__name__ == "Mine"
