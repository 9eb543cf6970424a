"""FFDNet: the formula with its noise level, images of any size, both forms of what it makes, its counts."""

import pytest
import torch
from torch.nn import functional as F

from harness.cost.count import count_config
from harness.models.denoising.ffdnet import FfdNet
from harness.trial.denoisers import FfdNetOptions


def small(**options):
    torch.manual_seed(0)
    return FfdNet({}, FfdNetOptions(**{"depth": 4, "width": 5, **options}))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_forward_is_the_formula(norm, residual):
    model = small(norm=norm, residual=residual).eval()
    for values in model.norms:
        values.running_mean.normal_()
        values.running_var.uniform_(0.5, 2)
    noisy, sigma = torch.randn(2, 3, 8, 6) * 100 + 100, torch.tensor([15.0, 50.0])
    x = torch.empty(2, 13, 4, 3)
    for channel in range(3):
        for i in (0, 1):
            for j in (0, 1):
                x[:, 4 * channel + 2 * i + j] = noisy[:, channel, i::2, j::2] / 255
    x[:, 12] = (sigma / 255)[:, None, None]
    for number, conv in enumerate(model.convs):
        x = F.conv2d(x, conv.weight, conv.bias, padding=1)
        if norm == "batch" and number in {1, 2}:
            at = model.norms[number - 1]
            x = F.batch_norm(x, at.running_mean, at.running_var, at.weight, at.bias)
        x = x if number == 3 else x.clamp(min=0)
    made = torch.empty_like(noisy)
    for channel in range(3):
        for i in (0, 1):
            for j in (0, 1):
                made[:, channel, i::2, j::2] = 255 * x[:, 4 * channel + 2 * i + j]
    assert torch.allclose(model(noisy, sigma), noisy - made if residual else made, rtol=1e-4, atol=1e-4)


def test_no_level_counts_as_zero():
    noisy = torch.randn(2, 3, 8, 6)
    model = small().eval()
    assert torch.equal(model(noisy), model(noisy, torch.zeros(2)))
    assert not torch.allclose(model(noisy), model(noisy, torch.full((2,), 50.0)))


def test_odd_sizes_repeat_the_last_row_and_column():
    model = small().eval()
    noisy = torch.randn(1, 3, 5, 7)
    wide = F.pad(noisy, (0, 1, 0, 1), mode="replicate")
    assert torch.equal(model(noisy), model(wide)[..., :5, :7])


def test_published_forms_have_the_published_sizes():
    def parameters(**options):
        return count_config({"model": {"kind": "ffdnet", "norm": "none", **options}, "compressors": {}})["parameters"]

    assert parameters() == 852_108  # 12 layers of 96 maps, colour: 0.85M
    assert parameters(channels=1, depth=15, width=64) == 485_316  # grey: 0.49M
    dncnn = count_config({"model": {"kind": "dncnn", "norm": "none"}, "compressors": {}})
    ffdnet = count_config({"model": {"kind": "ffdnet", "norm": "none"}, "compressors": {}})
    assert ffdnet["parameters"] > dncnn["parameters"]
    assert ffdnet["macs"] < dncnn["macs"] / 3
