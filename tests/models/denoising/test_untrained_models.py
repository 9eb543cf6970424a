"""Denoisers without training, on pieces of a photograph: what they return, and what they call."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from harness.base.errors import HarnessError
from harness.classical import Bm3dOptions, bm3d, k_svd
from harness.models.build import build_model
from harness.tasks.quality import psnr_db
from harness.trial.classical import UNTRAINED

SIGMA = 25.0
CLASSICAL = ("bm3d", "nl_bayes", "k_svd", "s_ple")


def model(declared, **options):
    for library in declared.libraries:
        pytest.importorskip(library)
    usual = {"sigma": 0.7} if declared.name == "blur" else {}
    usual = {"iterations": 2} if declared.name == "k_svd" else usual
    return build_model({"model": {"kind": declared.name, **usual, **options}, "compressors": {}}).eval()


@pytest.fixture(scope="module")
def pictures():
    """A clean piece and a noisy one: (1, 3, 40, 44)."""
    piece = load_sample_images().images[0][50:90, 40:84].copy()
    clean = torch.from_numpy(piece).permute(2, 0, 1).float()[None]
    return clean, clean + SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("declared", UNTRAINED, ids=lambda declared: declared.name)
def test_it_takes_out_noise_in_grey_and_colour_image_by_image(declared, pictures):
    clean, noisy = pictures
    method, level = model(declared), torch.tensor([SIGMA])
    before = float(psnr_db(noisy, clean))
    for channels in (slice(None), slice(1, 2)):
        one, other = noisy[:, channels], noisy[:, channels].flip(-1)
        estimate = method(one, level)
        assert (estimate.shape, estimate.dtype) == (one.shape, torch.float32)
        assert float(psnr_db(estimate, clean[:, channels])) > before + 1
        both = method(torch.cat((one, other)), torch.full((2,), SIGMA))
        assert torch.equal(both[:1], estimate)
    assert torch.equal(method(noisy, torch.zeros(1)), noisy)
    assert list(method.parameters()) == []


@pytest.mark.parametrize("declared", UNTRAINED, ids=lambda declared: declared.name)
def test_two_calls_give_the_same_bits(declared, pictures):
    method = model(declared)
    first, second = (method(pictures[1], torch.tensor([SIGMA])) for _ in range(2))
    assert torch.equal(first, second)


def test_options_and_seed_reach_the_method(pictures):
    noisy = pictures[1]
    by_name = {declared.name: declared for declared in UNTRAINED}
    changed = model(by_name["bm3d"], threshold=2.7, wiener=1.0)(noisy, torch.tensor([SIGMA]))[0]
    assert torch.equal(changed, bm3d(noisy[0], SIGMA, Bm3dOptions(threshold=2.7, wiener=1.0)))
    drawn = model(by_name["k_svd"])
    drawn.seed = 7
    assert torch.equal(drawn(noisy, torch.tensor([SIGMA]))[0], k_svd(noisy[0], SIGMA, drawn.constants, seed=7))
    assert not torch.equal(drawn(noisy, torch.tensor([SIGMA]))[0], k_svd(noisy[0], SIGMA, drawn.constants, seed=8))


def test_the_blur_is_scipys_on_each_channel(pictures):
    from scipy.ndimage import gaussian_filter

    blur = next(declared for declared in UNTRAINED if declared.name == "blur")
    estimate = model(blur)(pictures[1], torch.tensor([SIGMA]))[0].numpy()
    for channel in range(3):
        by_hand = gaussian_filter(pictures[1][0, channel].double().numpy(), 0.7, mode="reflect")
        np.testing.assert_allclose(estimate[channel], by_hand, atol=1e-4)


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, pictures):
    nlm = next(declared for declared in UNTRAINED if declared.name == "nlm")
    method = build_model({"model": {"kind": nlm.name}, "compressors": {}})
    monkeypatch.setattr("harness.base.extras.is_installed", lambda module: module != "skimage")
    with pytest.raises(HarnessError, match=r"this needs scikit-image: pip install 'ablation-harness\[denoise\]'"):
        method(pictures[1], torch.tensor([SIGMA]))
