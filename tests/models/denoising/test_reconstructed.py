"""The reconstructed denoiser: the counts of Table 5, its formula, its switches, sites and images of any size."""

import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from harness.base.checks import MisfitError
from harness.base.errors import HarnessError
from harness.cost.count import count_config
from harness.layers import ChannelPool, Maxout, Width
from harness.models.denoising import reconstructed
from harness.models.denoising.reconstructed import Reconstructed
from harness.training.recipe import initialise
from harness.trial.denoisers import ReconstructedOptions
from harness.trial.models import MODELS
from harness.trial.resolve import resolve_compressor

SPATIAL = {"kind": "spatial", "stride": 2}
WIDTH = {"kind": "width", "stride": 2}
KERNELS = (1, 3, 5, 7, 9)


def config(compressors=(), **options):
    return {"model": {"kind": "denoiser", **options}, "compressors": dict(compressors)}


def small(compressors=(), **options):
    torch.manual_seed(0)
    return Reconstructed(dict(compressors), ReconstructedOptions(**{"width": 0.125, **options}))


@pytest.mark.parametrize(
    ("compressors", "options", "weights", "paper_flops"),
    [
        ({}, {}, 70_994_880, 142_003_200),  # Table 5: 67.71M and 1.42e8
        ({"fp1": SPATIAL, "fp2": SPATIAL}, {}, 20_306_880, 40_627_200),  # 19.37M and 4.06e7
        ({"fp1": SPATIAL}, {}, 20_982_720, 41_978_880),
        ({"fp1": WIDTH}, {}, 19_631_040, 39_271_680),
        ({}, {"narrow": 0.5}, 19_631_040, 39_271_680),
    ],
)
def test_counts(compressors, options, weights, paper_flops):
    found = count_config(config(compressors, **options))
    assert found["weights"] == weights == 165 * (weights // 165)
    assert found["paper_flops"] == paper_flops
    assert found["parameters"] == weights + 2 * (paper_flops - 2 * weights) / 6


def test_counts_as_printed():
    baseline = count_config(config())
    pooled = count_config(config({"fp1": SPATIAL, "fp2": SPATIAL}))
    assert (f"{baseline['variables'] / 2**20:.2f}", f"{pooled['variables'] / 2**20:.2f}") == ("67.71", "19.37")
    assert (f"{baseline['paper_flops']:.2e}", f"{pooled['paper_flops']:.2e}") == ("1.42e+08", "4.06e+07")


@pytest.mark.parametrize(("downsample", "baseline", "pooled"), [("stride", 1.18, 0.365), ("pool", 1.59, 0.68)])
def test_macs_of_both_readings_of_halving(downsample, baseline, pooled):
    options = {"downsample": downsample}
    assert count_config(config(**options))["macs"] / 1e9 == pytest.approx(baseline, abs=0.005)
    both = config({"fp1": SPATIAL, "fp2": SPATIAL}, **options)
    assert count_config(both)["macs"] / 1e9 == pytest.approx(pooled, abs=0.005)


@pytest.mark.parametrize("options", [{"merge": "per_branch"}, {"skips": True}, {"scaled": True}, {"stride1": True}])
def test_switches_add_no_parameters(options):
    plain, switched = count_config(config()), count_config(config(**options))
    assert (switched["parameters"], switched["variables"]) == (plain["parameters"], plain["variables"])


def branches(block, x, *, up, pool, linear=False):
    """Compute one block from its weights, as the paper's text has it."""
    total = 0
    if up and pool:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for i, kernel in enumerate(KERNELS):
        weight, stride = block.convs[i].weight, 1 if pool else 2
        assert weight.shape[2:] == (kernel, kernel)
        if up:
            y = F.conv_transpose2d(x, weight, stride=stride, padding=(kernel - 1) // 2, output_padding=stride - 1)
        else:
            y = F.conv2d(x, weight, stride=stride, padding=(kernel - 1) // 2)
        if not linear:
            norm = block.norms[i]
            y = torch.tanh(F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias))
        total = total + y
    return F.max_pool2d(total, 2) if pool and not up else total


@pytest.mark.parametrize("downsample", ["stride", "pool"])
@pytest.mark.parametrize("merge", ["one_shortcut", "per_branch"])
def test_forward_is_the_formula(downsample, merge):
    pool = downsample == "pool"
    model = small({"fp1": ChannelPool(2), "fp2": ChannelPool(2)}, downsample=downsample, merge=merge).double().eval()
    for name, values in model.named_buffers():
        if name.endswith("running_var"):
            values.uniform_(0.5, 2)
        elif name.endswith("running_mean"):
            values.normal_(0, 0.1)
    noisy = torch.randn(2, 3, 16, 24, dtype=torch.float64) * 50 + 100
    x = noisy / 255
    for block in (model.inception1, model.inception2, model.inception3):
        x = branches(block, x, up=False, pool=pool)
    assert x.shape == (2, 32, 2, 3)
    x = x.unflatten(1, (16, 2)).amax(2)
    for block in model.residual:
        total = x if merge == "one_shortcut" else 0
        for i, kernel in enumerate(KERNELS):
            inner = torch.tanh(F.conv2d(x, block.first[i].weight, padding=kernel // 2))
            y = F.conv2d(inner, block.second[i].weight, padding=kernel // 2)
            total = total + (y if merge == "one_shortcut" else x + y)
        x = total
    x = x.unflatten(1, (8, 2)).amax(2)
    x = branches(model.deconvolution1, x, up=True, pool=pool)
    x = branches(model.deconvolution2, x, up=True, pool=pool)
    x = branches(model.deconvolution3, x, up=True, pool=pool, linear=True)
    assert torch.allclose(model(noisy), noisy - 255 * x)


def test_skips_add_the_mirrored_inception_blocks():
    model = small(skips=True).eval()
    seen = {}
    for name in ("inception1", "inception2", "deconvolution1", "deconvolution2", "deconvolution3"):
        model.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)})
        )
    model(torch.randn(1, 3, 32, 32))
    assert seen["inception1"][1].shape[2:] == (16, 16)
    assert torch.equal(seen["deconvolution2"][0], seen["deconvolution1"][1] + seen["inception2"][1])
    assert torch.equal(seen["deconvolution3"][0], seen["deconvolution2"][1] + seen["inception1"][1])


def test_scaled_divides_each_sum_by_the_root_of_five():
    x = torch.randn(2, 3, 8, 8)
    plain, scaled = small().inception1.eval(), small(scaled=True).inception1.eval()
    assert torch.allclose(scaled(x), plain(x) / math.sqrt(5))
    stage, of_scaled = small().residual[0], small(scaled=True).residual[0]
    x = torch.randn(2, 32, 4, 4)
    assert torch.allclose(of_scaled(x) - x, (stage(x) - x) / math.sqrt(5), atol=1e-5)


@pytest.mark.parametrize("downsample", ["stride", "pool"])
@pytest.mark.parametrize("merge", ["one_shortcut", "per_branch"])
@pytest.mark.parametrize("extra", [{}, {"skips": True, "scaled": True}, {"stride1": True, "skips": True}])
def test_every_combination_learns(downsample, merge, extra):
    model = small({"fp1": ChannelPool(2), "fp2": ChannelPool(2)}, downsample=downsample, merge=merge, **extra)
    noisy = torch.randn(2, 3, 16, 16) * 50
    F.mse_loss(model(noisy), torch.zeros_like(noisy)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (37, 53)])
@pytest.mark.parametrize("options", [{}, {"downsample": "pool"}, {"stride1": True}, {"skips": True}])
def test_images_of_any_size(size, options):
    noisy = torch.randn(2, 3, *size)
    assert small(width=0.05, **options).eval()(noisy).shape == noisy.shape


def test_last_block_at_zero_returns_what_it_is_given_after_initialisation_too():
    model = small(zero_last=True)
    initialise(model, "xavier_uniform", seed=0)
    noisy = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(noisy), noisy)
    assert model.deconvolution2.convs[0].weight.any()


def test_parameters_keep_their_names_whatever_is_at_the_sites():
    plain = dict(small().named_parameters())
    for compressors in ({"fp1": ChannelPool(2), "fp3": ChannelPool(2)}, {"fp1": Width(2)}):
        assert dict(small(compressors).named_parameters()).keys() == plain.keys()


def test_width_where_the_layer_before_can_make_fewer_maps():
    sites = MODELS["denoiser"].sites
    assert resolve_compressor(sites["fp1"], dict(WIDTH), ()) == WIDTH
    assert small({"fp1": Width(2), "fp3": Width(2)}).deconvolution1.convs[0].weight.shape[:2] == (16, 4)
    with pytest.raises(MisfitError, match="nothing before it can be narrowed"):
        resolve_compressor(sites["fp2"], dict(WIDTH), ())
    with pytest.raises(HarnessError, match="site fp2: the convolution before it cannot be narrowed"):
        small({"fp2": Width(2)})
    with pytest.raises(HarnessError, match="site fp3: the convolution before it cannot be narrowed"):
        small({"fp3": Width(2)}, skips=True)


def test_what_cannot_be_at_a_site():
    with pytest.raises(MisfitError, match="'maxout' cannot be at 'fp1': it goes before an activation"):
        resolve_compressor(MODELS["denoiser"].sites["fp1"], {"kind": "maxout", "stride": 2}, ())
    with pytest.raises(HarnessError, match="denoiser, site fp1: a compressor that goes before an activation"):
        small({"fp1": Maxout(2)})
    with pytest.raises(HarnessError, match="denoiser, site fp2: stride 32 does not divide 16"):
        small({"fp1": ChannelPool(2), "fp2": ChannelPool(32)})


@pytest.mark.parametrize("stride", [1, 2])
def test_strided_1x1_convolutions_are_torchs(stride):
    """They are written out, since oneDNN's damage the memory of a process in channels-last."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 6, 8, generator=generator, dtype=torch.float64)
    for own, torchs in ((reconstructed._convolution, nn.Conv2d), (reconstructed._deconvolution, nn.ConvTranspose2d)):
        layer = own(3, 5, 1, stride).double()
        more = {} if torchs is nn.Conv2d else {"output_padding": stride - 1}
        expected = torchs(3, 5, 1, stride=stride, bias=False, **more).double()
        expected.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(x), expected(x))


def test_it_trains_in_channels_last():
    """In a process of its own: if memory is damaged, it is the process that ends."""
    script = """
import torch
from harness.models.build import build_model
torch.set_num_threads(1)
model = build_model({"model": {"kind": "denoiser", "width": 0.25}, "compressors": {}})
model = model.to(memory_format=torch.channels_last)
images = torch.randn(16, 3, 32, 32).contiguous(memory_format=torch.channels_last)
for _ in range(3):
    model(images).square().mean().backward()
print("trained")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False)
    assert (ended.returncode, ended.stdout) == (0, "trained\n"), ended.stderr
