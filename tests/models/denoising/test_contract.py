"""What every denoising network keeps to, whichever it is: shapes, types, its input, data, and registration."""

import pytest
import torch

from harness.cost.count import count_config
from harness.models.build import build_model
from harness.training.recipe import initialise
from harness.trial.denoisers import DENOISERS
from harness.trial.models import MODELS
from harness.trial.plugin_models import resolve_model

SMALL = {
    "denoiser": {"width": 0.05},
    "dncnn": {"depth": 4, "width": 4},
    "ffdnet": {"depth": 4, "width": 4},
    "red_net": {"depth": 6, "width": 4},
    "vdsr": {"depth": 4, "width": 4},
}
NAMES = [declaration.name for declaration in DENOISERS]
GREY = [name for name in NAMES if name != "denoiser"]


def build(name, **options):
    torch.manual_seed(0)
    return build_model({"model": {"kind": name, **SMALL[name], **options}, "compressors": {}})


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 50 + 100


def test_these_are_all():
    assert (
        {name for name, declared in MODELS.items() if declared.trains and not declared.classes}
        == SMALL.keys()
        == {*NAMES}
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sigma", [None, torch.tensor([10.0, 60.0])])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_estimate_is_float32_also_under_autocast_and_the_input_is_left_alone(name, sigma, memory_format):
    model = build(name).to(memory_format=memory_format)
    noisy = images(2, 3, 16, 16).contiguous(memory_format=memory_format)
    before = noisy.clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        estimate = model(noisy, sigma)
    assert (estimate.dtype, estimate.shape) == (torch.float32, noisy.shape)
    assert torch.equal(noisy, before)
    estimate.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_denoised_alike_alone_and_among_others(name):
    model, noisy, sigma = build(name).eval(), images(3, 3, 9, 11), torch.tensor([10.0, 25.0, 60.0])
    together = model(noisy, sigma)
    for number in range(3):
        one = slice(number, number + 1)
        assert torch.allclose(model(noisy[one], sigma[one]), together[one], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (37, 53)])
@pytest.mark.parametrize(("name", "channels"), [*((name, 3) for name in NAMES), *((name, 1) for name in GREY)])
def test_images_of_any_size(name, channels, size):
    noisy = images(2, channels, *size)
    model = build(name, **{"channels": 1} if channels == 1 else {})
    assert model(noisy, torch.tensor([5.0, 25.0])).shape == noisy.shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("initialised", [False, True])
def test_zero_last_returns_what_is_given_also_after_initialisation(name, initialised):
    noisy, changed, given = images(2, 3, 16, 16), build(name), build(name, zero_last=True)
    for model in (changed, given) if initialised else ():
        initialise(model, "xavier_uniform", seed=0)
    assert torch.equal(given(noisy), noisy)
    assert any(weight.any() for layer, weight in given.named_parameters() if layer.endswith("weight"))
    assert not torch.allclose(changed(noisy), noisy, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_photographs_of_different_sizes_fit(name, colour):
    found = resolve_model({"kind": name, **SMALL[name]}, colour, ())
    assert found.config == {"kind": name, **SMALL[name]}
    assert count_config({"model": found.config, "compressors": {}})["macs"] > 0
