"""VDSR: the formula, its published size."""

import torch
from torch.nn import functional as F

from harness.cost.count import count_config
from harness.models.denoising.vdsr import Vdsr
from harness.trial.denoisers import VdsrOptions


def small(**options):
    torch.manual_seed(0)
    return Vdsr({}, VdsrOptions(**{"depth": 4, "width": 5, **options}))


def test_the_residual_is_added():
    model = small()
    noisy = torch.randn(2, 3, 9, 7) * 100 + 100
    x = noisy / 255
    for number, conv in enumerate(model.convs):
        x = F.conv2d(x, conv.weight, conv.bias, padding=1)
        x = x if number == 3 else x.clamp(min=0)
    assert torch.allclose(model(noisy), noisy + 255 * x)
    assert torch.equal(model(noisy, torch.tensor([25.0, 50.0])), model(noisy))


def test_the_published_form_has_its_published_size():
    # 20 layers of 64 maps for luminance: 664,704 weights (Kim et al. say 665K), and biases
    counts = count_config({"model": {"kind": "vdsr", "channels": 1}, "compressors": {}})
    assert (counts["weights"], counts["parameters"]) == (664_704, 664_704 + 19 * 64 + 1)
