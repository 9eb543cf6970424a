"""A denoiser on a picture: noise as evaluations have it, channels that do not fit, sizes, NaN, arrays from Python."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.datasets import load_sample_image

import harness
from harness.base.errors import HarnessError
from harness.denoiser.apply import add_noise, as_pixels, denoise_values, quality
from harness.denoiser.denoisers import Denoiser, find_denoiser
from harness.tasks.denoising import noise_of

CPU = torch.device("cpu")


def _of(estimate, channels=(1, 3), **more):
    """Return a denoiser that is a function of the noisy images."""
    called = {"name": "a test's", "channels": frozenset(channels), "needs_sigma": True, "device": CPU, **more}
    return Denoiser(estimate=lambda noisy, *_: estimate(noisy), **called)


def _values(*shape):
    return (255 * np.random.default_rng(0).random(shape)).astype(np.float32)


def test_noise_is_added_as_evaluations_add_it(photograph):
    image = np.ascontiguousarray(photograph.transpose(2, 0, 1))
    expected = torch.from_numpy(image).float() + 25 * noise_of(image, 3)
    np.testing.assert_array_equal(add_noise(photograph, 25, 3).transpose(2, 0, 1), expected.numpy())


def test_quality_is_that_of_scikit_image(photograph):
    noisy = add_noise(photograph, 25, 0)
    found = quality(noisy, photograph)
    assert found.psnr_db == pytest.approx(peak_signal_noise_ratio(photograph.astype(float), noisy, data_range=255))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = structural_similarity(photograph.astype(float), noisy.astype(float), channel_axis=2, **options)
    assert found.ssim == pytest.approx(expected, abs=1e-6)


def test_it_is_the_network_itself_that_is_applied(saved, photograph):
    path, made = saved()
    noisy = add_noise(photograph, 25, 0)
    with torch.no_grad():
        made.load_state_dict({n: v.half().float() if v.ndim > 1 else v for n, v in made.state_dict().items()})
        expected = made(torch.from_numpy(noisy).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    found = denoise_values(find_denoiser(str(path), "cpu", []), noisy)
    np.testing.assert_allclose(found.values, expected.numpy(), rtol=0, atol=1e-3)


def test_what_a_classical_method_cannot_denoise_is_an_error_of_ours():
    with pytest.raises(HarnessError, match="bm3d: the image lies within"):  # a batch goes on after it
        denoise_values(find_denoiser("bm3d", "cpu", []), _values(32, 32, 3) / 255, 25)


@pytest.mark.parametrize("name", ["BM3D", "nl_bayes", "k-svd", "s_ple"])
def test_a_classical_method_gains_with_the_estimated_level(photograph, name):
    clean = photograph[:64, :64]
    noisy = add_noise(clean, 25, 0)
    found = denoise_values(find_denoiser(name, "cpu", []), noisy)
    assert found.estimated
    assert found.sigma == pytest.approx(25, rel=0.2)
    assert quality(found.values, clean).psnr_db > quality(noisy, clean).psnr_db + 4


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 17), (33, 18)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("method", ["bm3d", "nl-bayes", "colour", "grey"])
def test_an_estimate_of_any_size_is_finite_and_of_that_size(saved, method, size, channels):
    if method in {"colour", "grey"}:
        method = str(saved(3 if method == "colour" else 1)[0])
    found = denoise_values(find_denoiser(method, "cpu", []), _values(*size, channels), 20.0)
    assert found.values.shape == (*size, channels)
    assert np.isfinite(found.values).all()


def test_a_colour_network_gets_a_grey_picture_three_times():
    given = []
    gains = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    denoiser = _of(lambda noisy: given.append(noisy) or noisy * gains, channels=(3,))
    noisy = _values(5, 6, 1)
    found = denoise_values(denoiser, noisy, 10.0)
    assert given[0].shape == (1, 3, 5, 6)
    np.testing.assert_allclose(found.values, 3 * noisy, rtol=1e-6)
    assert found.notes == (
        "a grey picture, a colour network: it removes little of noise that is equal in all channels",
    )


def test_by_default_grey_pictures_go_to_bm3d(saved, monkeypatch):
    monkeypatch.setattr("harness.denoiser.denoisers.SHIPPED", saved()[0])
    default, noisy = find_denoiser(None, "cpu", []), _values(20, 24, 1)
    found = denoise_values(default, noisy, 20.0)
    assert found.denoiser.name == "bm3d"
    assert found.notes == ("a grey picture: the default network is for colour, so bm3d is used",)
    np.testing.assert_array_equal(found.values, denoise_values(find_denoiser("bm3d", "cpu", []), noisy, 20.0).values)
    assert denoise_values(default, _values(20, 24, 3), 20.0).denoiser is default


def test_a_grey_network_gets_the_channels_one_by_one():
    given = []
    denoiser = _of(lambda noisy: given.append(noisy) or noisy / 2, channels=(1,))
    noisy = _values(5, 6, 3)
    found = denoise_values(denoiser, noisy, 10.0)
    assert given[0].shape == (3, 1, 5, 6)
    np.testing.assert_array_equal(found.values, noisy / 2)
    assert found.notes == ("a colour picture, a grey network: channel by channel",)


def test_equal_channels_are_one_channel():
    given = []
    noisy = np.repeat(_values(20, 20, 1), 3, axis=2)
    found = denoise_values(_of(lambda noisy: given.append(noisy) or noisy), noisy)
    assert given[0].shape == (1, 1, 20, 20)
    np.testing.assert_array_equal(found.values, noisy)
    assert found.notes == ("its three channels are equal: treated as grey",)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_network_that_gives_nan_is_an_error_that_says_so(bad):
    def broken(noisy):
        estimate = noisy.clone()
        estimate[0, 0, 2, 2] = bad
        return estimate

    with pytest.raises(HarnessError, match="a test's gave NaN or infinity at 1 values: its training has diverged"):
        denoise_values(_of(broken), _values(4, 4, 3), 10.0)


def test_an_estimate_of_another_size_is_an_error():
    with pytest.raises(HarnessError, match="gave an estimate of 1×3×4×3 for 1×3×4×4"):
        denoise_values(_of(lambda noisy: noisy[..., 1:]), _values(4, 4, 3), 10.0)


def test_a_level_that_is_needed_and_cannot_be_estimated_is_asked_for():
    denoiser = _of(lambda noisy: noisy)
    with pytest.raises(HarnessError, match=r"too small to estimate the noise .* give sigma"):
        denoise_values(denoiser, _values(15, 15, 1))
    assert denoise_values(_of(lambda noisy: noisy, needs_sigma=False), _values(15, 15, 1)).sigma is None


def test_a_picture_without_noise_stays_as_it_is():
    flat = np.full((20, 20, 3), 100, dtype=np.float32)
    flat[..., 1] = 50
    found = denoise_values(find_denoiser("bm3d", "cpu", []), flat)
    np.testing.assert_array_equal(found.values, flat)
    assert found.notes == ("no noise was found: unchanged",)


@pytest.mark.parametrize(
    ("levels", "sigma", "said"),
    [((25, 25), 26.0, False), ((25, 25), 10.0, True), ((0, 60), 1.0, False), ((0, 60), 90.0, True)],
)
def test_a_level_that_a_network_was_not_trained_for_is_said(levels, sigma, said):
    denoiser = _of(lambda noisy: noisy, levels=levels)
    notes = denoise_values(denoiser, _values(4, 4, 3), sigma).notes
    assert any("it was trained for σ" in note for note in notes) == said


def test_a_network_that_reads_sigma_is_known_by_it(saved, monkeypatch):
    path, _ = saved()
    assert not find_denoiser(str(path), "cpu", []).needs_sigma
    forward = "harness.models.denoising.dncnn.DnCnn.forward"
    monkeypatch.setattr(forward, lambda _, noisy, sigma: noisy - sigma.view(-1, 1, 1, 1))
    denoiser = find_denoiser(str(path), "cpu", [])
    assert denoiser.needs_sigma
    np.testing.assert_allclose(denoise_values(denoiser, _values(4, 4, 3), 10.0).values, _values(4, 4, 3) - 10)


def test_a_large_picture_in_tiles_is_the_same(saved):
    path, _ = saved(depth=6)
    denoiser, noisy = find_denoiser(str(path), "cpu", []), _values(150, 90, 3)
    whole, tiled = (denoise_values(denoiser, noisy, tile=tile).values for tile in (None, 32))
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-3)


# harness.denoise


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 3), (40, 50, 4)])
def test_an_array_comes_back_in_its_shape_and_type(saved, dtype, shape):
    image = _values(*shape).astype(dtype)
    before = image.copy()
    found = harness.denoise(image, model=saved()[0], device="cpu")
    assert (found.shape, found.dtype) == (shape, dtype)
    np.testing.assert_array_equal(image, before)
    if shape[-1] == 4:
        np.testing.assert_array_equal(found[..., 3], image[..., 3])


def test_an_array_is_denoised():
    clean = load_sample_image("china.jpg")[100:164, 200:264]
    noisy = as_pixels(add_noise(clean, 25, 0))
    found = harness.denoise(noisy, sigma=25, model="bm3d")
    assert quality(found, clean).psnr_db > quality(noisy, clean).psnr_db + 4


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ([[1, 2]], "the image is a list; give a NumPy array"),
        (np.zeros((2, 2, 2), dtype=np.uint8), r"the image has shape \(2, 2, 2\); give"),
        (np.zeros((0, 2), dtype=np.uint8), r"the image has shape \(0, 2\); give"),
        (np.zeros((2, 2), dtype=np.uint16), "the image has dtype uint16; give uint8, or floating point on 0…255"),
        (np.full((2, 2), np.nan), "the image holds NaN or infinity"),
        (np.eye(4), "the values of the image look like a scale of 0…1; multiply them by 255"),
    ],
)
def test_an_array_that_cannot_be_used_is_one_line(image, words):
    with pytest.raises(HarnessError, match=words):
        harness.denoise(image, model="bm3d")


@pytest.mark.parametrize("sigma", [0, -1, np.nan, "25", 300])
def test_a_level_that_cannot_be_used_is_one_line(sigma):
    with pytest.raises(HarnessError, match="give a number above 0 and at most 255"):
        harness.denoise(np.zeros((20, 20), dtype=np.uint8), sigma, "bm3d")
