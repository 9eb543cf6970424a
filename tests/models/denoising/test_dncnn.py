"""DnCNN: the formula, what its options change, and its counts."""

import pytest
import torch
from torch.nn import functional as F

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.cost.count import count_config
from harness.layers import ChannelPool
from harness.models.build import build_model
from harness.models.denoising.dncnn import DnCnn
from harness.trial.denoisers import DnCnnOptions
from harness.trial.plugin_models import declared_model, resolve_model


def small(**options):
    return DnCnn({}, DnCnnOptions(**{"depth": 4, "width": 5, **options}))


def config(**options):
    return {"model": {"kind": "dncnn", **options}, "compressors": {}}


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_forward_is_the_formula(norm):
    torch.manual_seed(0)
    model = small(norm=norm).eval()
    for values in model.norms:
        values.running_mean.normal_()
        values.running_var.uniform_(0.5, 2)
    noisy = torch.randn(2, 3, 9, 7) * 100 + 100
    x = F.relu(F.conv2d(noisy / 255, model.convs[0].weight, model.convs[0].bias, padding=1))
    for i in (1, 2):
        conv = model.convs[i]
        assert (conv.bias is None) == (norm == "batch")
        x = F.conv2d(x, conv.weight, conv.bias, padding=1)
        if norm == "batch":
            at = model.norms[i - 1]
            x = F.batch_norm(x, at.running_mean, at.running_var, at.weight, at.bias)
        x = F.relu(x)
    expected = noisy - 255 * F.conv2d(x, model.convs[3].weight, model.convs[3].bias, padding=1)
    assert torch.allclose(model(noisy), expected)
    assert torch.equal(model(noisy, torch.tensor([25.0, 50.0])), model(noisy))


def test_published_forms_have_the_published_sizes():
    # 64 maps; 17 layers grey with BN merged: 555,137 weights and biases, as KAIR's dncnn_25.pth; 20 colour: 668,227
    assert count_config(config(channels=1, depth=17, norm="none"))["parameters"] == 555_137
    assert count_config(config(norm="none"))["parameters"] == 668_227
    assert count_config(config())["weights"] == 3 * 64 * 9 * 2 + 18 * 64 * 64 * 9
    assert count_config(config(channels=1))["macs"] == 32 * 32 * 9 * (64 * 2 + 18 * 64 * 64)


def test_options_change_what_is_declared(colour, grey):
    assert resolve_model("dncnn", colour, ()).config == {"kind": "dncnn"}
    found = resolve_model({"kind": "dncnn", "channels": 1, "depth": 17}, grey, ())
    assert found.config == {"kind": "dncnn", "channels": 1, "depth": 17}
    assert found.declaration.input_shape == (1, 32, 32) == build_model(config(channels=1)).declaration.input_shape
    assert declared_model(found.config, ()).input_shape == (1, 32, 32)


@pytest.mark.parametrize(
    ("options", "path"),
    [({"channels": 2}, "channels"), ({"depth": 2}, "depth"), ({"width": 0.5}, "width"), ({"norm": "group"}, "norm")],
)
def test_wrong_options_are_refused(options, path, colour):
    with pytest.raises(FieldError) as raised:
        resolve_model({"kind": "dncnn", **options}, colour, ())
    assert raised.value.path == (path,)


def test_it_has_no_site():
    with pytest.raises(HarnessError, match="dncnn has no site 'conv1'"):
        DnCnn({"conv1": ChannelPool(2)})
