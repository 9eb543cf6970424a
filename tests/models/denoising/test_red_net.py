"""RED-Net: which outputs its skips add where, its counts."""

import pytest
import torch
from torch.nn import functional as F

from harness.base.checks import FieldError
from harness.cost.count import count_config
from harness.models.denoising.red_net import RedNet
from harness.trial.denoisers import RedNetOptions
from harness.trial.plugin_models import resolve_model


def small(**options):
    torch.manual_seed(0)
    return RedNet({}, RedNetOptions(**{"depth": 10, "width": 5, **options}))


def test_every_second_layer_has_a_symmetric_skip():
    model = small().double()
    noisy = torch.randn(2, 3, 9, 7, dtype=torch.float64) * 100 + 100

    def conv(number, x):
        return F.conv2d(x, model.convs[number - 1].weight, model.convs[number - 1].bias, padding=1)

    def deconv(number, x):
        return F.conv_transpose2d(x, model.deconvs[number - 1].weight, model.deconvs[number - 1].bias, padding=1)

    one = conv(1, noisy / 255).relu()
    two = conv(2, one).relu()
    four = conv(4, conv(3, two).relu()).relu()
    x = conv(5, four).relu()
    x = (deconv(1, x) + four).relu()
    x = deconv(2, x).relu()
    x = (deconv(3, x) + two).relu()
    x = deconv(5, deconv(4, x).relu())
    assert torch.allclose(model(noisy), noisy + 255 * x)
    assert torch.equal(model(noisy, torch.tensor([25.0, 50.0])), model(noisy))


def test_red30_has_seven_skips_between_its_layers():
    torch.manual_seed(0)
    model = RedNet({}, RedNetOptions(width=16))
    relus = []
    for conv in model.convs:
        conv.register_forward_hook(lambda *found: relus.append(found[2].relu()))
    read = []
    for deconv in model.deconvs:
        deconv.register_forward_hook(lambda *found: read.append((found[1][0], found[2])))
    model(torch.randn(1, 3, 8, 8) * 100)
    made = [output for _, output in read[:-1]]
    following = [given for given, _ in read[1:]]
    skipped = [n for n, (out, x) in enumerate(zip(made, following, strict=True), 1) if not torch.equal(out.relu(), x)]
    assert skipped == [1, 3, 5, 7, 9, 11, 13]
    for n in skipped:
        assert torch.equal((made[n - 1] + relus[15 - n - 1]).relu(), following[n - 1])


def test_counts_of_red30():
    counts = count_config({"model": {"kind": "red_net"}, "compressors": {}})
    assert counts["weights"] == 9 * (2 * 3 * 64 + 28 * 64 * 64)
    assert counts["macs"] == 32 * 32 * counts["weights"]


def test_half_of_its_layers_are_deconvolutions(colour):
    with pytest.raises(FieldError) as raised:
        resolve_model({"kind": "red_net", "depth": 15}, colour, ())
    assert str(raised.value) == "'depth' must be a multiple of 2, not 15"
