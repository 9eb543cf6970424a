"""What all four methods promise: they remove noise, and refuse in one line what they cannot denoise."""

import functools
import math

import numpy as np
import pytest
import torch

from harness.classical import Bm3dOptions, KSvdOptions, bm3d, k_svd, nl_bayes, s_ple

# A dictionary of 48 atoms and 3 iterations is enough for small pictures, and quick.
METHODS = {
    "bm3d": bm3d,
    "nl_bayes": nl_bayes,
    "k_svd": functools.partial(k_svd, options=KSvdOptions(atoms=48, iterations=3)),
    "s_ple": s_ple,
}


@functools.cache
def plain(name, noisy, height, width):
    """Return what a method makes of a part of the noisy photograph, for tests that only compare with it."""
    return METHODS[name](noisy[:, :height, :width], 25)


every_method = pytest.mark.parametrize("name", METHODS)


def psnr(x, y):
    return 10 * math.log10(255**2 / (x.clamp(0, 255).round() - y).square().mean().item())


@every_method
def test_noise_is_removed_from_colour(name, photograph, noisy):
    result = METHODS[name](noisy, 25)
    assert (result.shape, result.dtype) == (noisy.shape, noisy.dtype)
    assert psnr(result, photograph) > psnr(noisy, photograph) + 5


@every_method
def test_noise_is_removed_from_grey(name, photograph):
    grey = photograph.mean(0, keepdim=True)
    noisy = grey + 25 * torch.randn(grey.shape, generator=torch.Generator().manual_seed(3))
    result = METHODS[name](noisy, 25)
    assert result.shape == grey.shape
    assert psnr(result, grey) > psnr(noisy, grey) + 3.5


@every_method
@pytest.mark.parametrize("sigma", [60, 90])
def test_strong_noise_is_removed(name, photograph, sigma):
    clean = photograph[:, :40, :40]
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    assert psnr(METHODS[name](noisy, sigma), clean) > psnr(noisy, clean) + 6


@every_method
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 16), (1, 16, 37), (3, 29, 17)])
def test_small_and_odd_sizes(name, shape):
    clean = torch.linspace(50, 200, shape[2]).expand(shape)
    noisy = clean + 20 * torch.randn(shape, generator=torch.Generator().manual_seed(5))
    result = METHODS[name](noisy, 20)
    assert result.shape == shape
    assert psnr(result, clean) > psnr(noisy, clean) + 3


@every_method
def test_hardly_any_noise_changes_hardly_anything(name, photograph):
    clean = photograph[:, :32, :32]
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(6))
    result = METHODS[name](noisy, 0.1)
    assert (result - clean).square().mean().sqrt().item() < 0.15
    assert (result - clean).abs().max().item() < 1


@every_method
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("level", [0.0, 3.0, 128.0, 255.0])
def test_a_constant_image_stays_within_a_grey_level(name, channels, level):
    constant = torch.full((channels, 20, 24), level)
    noisy = constant + 5 * torch.randn(constant.shape, generator=torch.Generator().manual_seed(7))
    assert (METHODS[name](constant, 5) - level).abs().max().item() < 1
    assert (METHODS[name](noisy, 5) - level).square().mean().sqrt().item() < 2.5


@every_method
def test_an_image_without_noise_survives(name, photograph):
    clean = photograph[:, :32, :32].clone()
    clean[:, 10:20, 10:20] = 250.0  # flat, with sharp borders
    result = METHODS[name](clean, 5)
    assert psnr(result, clean) > 33


@every_method
def test_twice_is_the_same_to_the_bit_and_the_input_is_left_alone(name, noisy):
    image = noisy[:, :32, :40]
    before = image.clone()
    state = torch.get_rng_state()
    first = METHODS[name](image, 25)
    assert torch.equal(image, before)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert torch.equal(METHODS[name](image, 25), first)
    assert torch.equal(METHODS[name](image.mT.contiguous().mT, 25), first)


@every_method
@pytest.mark.parametrize("tile", [11, 24, 1000])
def test_the_size_of_tiles_changes_nothing(name, noisy, tile):
    image = noisy[:, :40, :48]
    difference = METHODS[name](image, 25, tile=tile) - plain(name, noisy, 40, 48)
    assert difference.abs().max().item() < 0.01


@every_method
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_dtype_is_kept(name, noisy, dtype):
    image = noisy[:, :16, :24].to(dtype)
    result = METHODS[name](image, 25)
    assert result.dtype == dtype
    expected = METHODS[name](image.float(), 25) if dtype == torch.float16 else plain(name, noisy, 16, 24)
    torch.testing.assert_close(result.float(), expected, rtol=1e-3, atol=1e-3)


@every_method
def test_autocast_changes_no_bit(name, noisy):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = METHODS[name](noisy[:, :16, :24], 25)
    assert torch.equal(result, plain(name, noisy, 16, 24))


@every_method
def test_integers_of_numpy_are_integers(name, noisy):
    assert torch.equal(METHODS[name](noisy[:, :16, :24], 25, tile=np.int64(1000)), plain(name, noisy, 16, 24))


@every_method
def test_a_level_of_almost_nothing_changes_nothing(name, noisy):
    image = noisy[:, :16, :24]
    assert (METHODS[name](image, 1e-30) - image).abs().max() < 1e-3


@pytest.mark.parametrize("seed", [None, "1", 1.5, True, 2**64])
def test_a_seed_is_an_integer(seed):
    with pytest.raises(ValueError, match=r"^k_svd: seed is .*; give an integer of 64 bits$"):
        k_svd(torch.zeros(3, 16, 16), 25, seed=seed)


@every_method
def test_progress_counts_to_its_end(name, noisy):
    calls = []
    METHODS[name](noisy[:, :24, :40], 25, tile=16, progress=lambda done, total: calls.append((done, total)))
    total = calls[-1][1]
    assert total > 2
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_a_seed_is_another_dictionary(noisy):
    assert not torch.equal(plain("k_svd", noisy, 32, 32), METHODS["k_svd"](noisy[:, :32, :32], 25, seed=1))


@every_method
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(16, 16), r"the image has shape \(16, 16\); give one image, \(3, H, W\) or \(1, H, W\)"),
        (torch.zeros(1, 3, 16, 16), r"the image has shape \(1, 3, 16, 16\)"),
        (torch.zeros(4, 16, 16), r"the image has shape \(4, 16, 16\)"),
        (torch.zeros(3, 16, 15), "the image is 16×15; the smallest is 16×16"),
        (torch.zeros(3, 16, 16, dtype=torch.uint8), r"has dtype torch\.uint8; give floating point on 0…255"),
        (torch.full((3, 16, 16), math.nan), "the image holds NaN or infinity"),
        (torch.full((3, 16, 16), math.inf), "the image holds NaN or infinity"),
        (torch.full((3, 16, 16), 1e17), r"the image has values up to 1e\+17; give it on the scale 0…255"),
        (torch.zeros(3, 16, 16).to_sparse(), "the image is no dense tensor; give its pixels"),
        (torch.zeros(3, 16, 16, device="meta"), "the image is a meta tensor; give its pixels"),
    ],
)
def test_images_that_cannot_be_denoised_are_refused(name, image, message):
    with pytest.raises(ValueError, match=f"^{name}: .*{message}") as caught:
        METHODS[name](image, 25)
    assert "\n" not in str(caught.value)


@every_method
@pytest.mark.parametrize("sigma", [0, -1.0, math.nan, math.inf, 1e9, 10**400, True, "25", torch.tensor(25.0)])
def test_sigma_must_be_a_number_above_0(name, sigma):
    with pytest.raises(ValueError, match=f"^{name}: sigma is .*; give a number above 0, on the image's scale of 0…255"):
        METHODS[name](torch.zeros(3, 16, 16), sigma)


@every_method
def test_an_image_on_0_to_1_with_sigma_on_0_to_255_is_refused(name, noisy):
    unit = noisy[:, :16, :16] / 255
    with pytest.raises(ValueError, match=rf"^{name}: the image lies within .*: give both on the scale 0…255"):
        METHODS[name](unit, 25)
    assert METHODS[name](unit, 25 / 255).shape == unit.shape
    white = 1 + 60 / 255 * torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(2))
    assert white.max() > 1.5
    with pytest.raises(ValueError, match=rf"^{name}: the image lies within .*: give both on the scale 0…255"):
        METHODS[name](white * 1.2, 60)
    assert METHODS[name](torch.ones(3, 16, 16), 25).sub(1).abs().max() <= 1  # dark, and without any noise


@every_method
def test_a_nearly_black_image_of_whole_numbers_is_none_on_0_to_1(name):
    dark = torch.randint(0, 4, (3, 16, 16), generator=torch.Generator().manual_seed(3)).float()
    assert METHODS[name](dark, 25).shape == dark.shape


@every_method
@pytest.mark.parametrize("tile", [0, 1.5, True])
def test_a_tile_must_have_a_side(name, tile):
    with pytest.raises(ValueError, match=f"^{name}: tile is .*; give a side in pixels"):
        METHODS[name](torch.zeros(3, 16, 16), 25, tile=tile)


@every_method
def test_options_of_another_kind_are_refused(name, noisy):
    method = getattr(METHODS[name], "func", METHODS[name])
    for options in ({"threshold": 2.7}, Bm3dOptions() if name != "bm3d" else KSvdOptions()):
        with pytest.raises(TypeError, match=f"{name}: options is a {type(options).__name__}; give "):
            method(noisy, 25, options)


@every_method
def test_an_array_is_not_a_tensor(name):
    with pytest.raises(TypeError, match=rf"^{name}: the image is a ndarray; give a torch\.Tensor"):
        METHODS[name](torch.zeros(3, 16, 16).numpy(), 25)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@every_method
def test_a_gpu_gives_the_same(name, noisy):
    result = METHODS[name](noisy.cuda(), 25)
    assert torch.equal(result, METHODS[name](noisy.cuda(), 25))
    assert (result.cpu() - METHODS[name](noisy, 25)).square().mean().sqrt().item() < 0.5
