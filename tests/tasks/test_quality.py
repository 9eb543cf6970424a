"""PSNR and SSIM against plain loops, and against scikit-image on photographs."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from harness.base.errors import HarnessError
from harness.tasks import quality
from harness.tasks.quality import psnr_db, ssim


@pytest.fixture(scope="module")
def clean():
    """Parts of two photographs: (4, 3, 43, 52) on 0…255."""
    photographs = np.stack(load_sample_images().images)  # (2, 427, 640, 3)
    parts = [photographs[:, 180:223, left : left + 52] for left in (100, 400)]
    return torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def estimate(clean):
    """The same in noise that differs per image."""
    sigma = torch.tensor([1.0, 10, 50, 150]).view(4, 1, 1, 1)
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))


def naive_ssim(x, y):
    """The formula of Wang et al., window by window, with variances about the mean of each window."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True):  # channels
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                p, q = a[row : row + 11, column : column + 11], b[row : row + 11, column : column + 11]
                u, v = (window * p).sum(), (window * q).sum()
                covariance = (window * (p - u) * (q - v)).sum()
                variances = (window * (p - u) ** 2).sum() + (window * (q - v) ** 2).sum()
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                values.append((2 * u * v + c1) * (2 * covariance + c2) / ((u * u + v * v + c1) * (variances + c2)))
    return sum(values) / len(values)


def test_psnr_is_that_of_a_plain_loop(estimate, clean):
    errors = [
        sum((a - b) ** 2 for a, b in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)) / x.numel()
        for x, y in zip(estimate.double(), clean.double(), strict=True)
    ]
    expected = torch.tensor([10 * math.log10(255**2 / error) for error in errors], dtype=torch.float64)
    torch.testing.assert_close(psnr_db(estimate, clean), expected, rtol=0, atol=1e-10)


def test_ssim_is_that_of_a_plain_loop(estimate, clean):
    x, y = estimate[..., :30, :27], clean[..., :30, :27]
    expected = torch.tensor([naive_ssim(*pair) for pair in zip(x, y, strict=True)], dtype=torch.float64)
    assert expected.min() < 0.2
    assert expected.max() > 0.9
    torch.testing.assert_close(ssim(x, y), expected, rtol=0, atol=1e-10)


def test_both_are_those_of_scikit_image(estimate, clean):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    arrays = [(x.double().numpy(), y.double().numpy()) for x, y in zip(estimate, clean, strict=True)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 0}
    for i, (x, y) in enumerate(arrays):
        expected = metrics.structural_similarity(x, y, data_range=255, **options)
        assert ssim(estimate, clean)[i].item() == pytest.approx(expected, abs=1e-9)
        expected = metrics.peak_signal_noise_ratio(y, x, data_range=255)
        assert psnr_db(estimate, clean)[i].item() == pytest.approx(expected, abs=1e-9)


def test_known_values():
    """Constant images of 0 and 255 differ by the peak; their SSIM is what the constant C1 leaves."""
    black, white = torch.zeros(1, 1, 11, 11), torch.full((1, 1, 11, 11), 255.0)
    assert psnr_db(black, white).tolist() == [0]
    c1 = (0.01 * 255) ** 2
    assert ssim(black, white).item() == pytest.approx(c1 / (255**2 + c1), rel=1e-12)


def test_equal_images(clean):
    assert psnr_db(clean, clean).tolist() == [math.inf] * 4
    torch.testing.assert_close(ssim(clean, clean), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-12)


def test_nan_concerns_its_own_image_alone(estimate, clean):
    broken = estimate.clone()
    broken[1, 2, 20, 20] = math.nan
    for measure in (psnr_db, ssim):
        values = measure(broken, clean)
        assert values.isnan().tolist() == [False, True, False, False]
        assert torch.equal(values[[0, 2, 3]], measure(estimate, clean)[[0, 2, 3]])


@pytest.mark.parametrize("size", [(10, 30), (30, 10), (1, 1)])
def test_images_smaller_than_the_window_have_no_ssim(size):
    small = torch.ones(2, 3, *size)
    assert ssim(small, small).isnan().tolist() == [True, True]
    assert psnr_db(small, small + 255).tolist() == [0, 0]


@pytest.mark.parametrize("measure", [psnr_db, ssim])
def test_bits_depend_neither_on_the_batch_nor_on_threads_nor_on_layout(measure, estimate, clean):
    estimate, clean = (images.repeat(1, 1, 8, 8) for images in (estimate, clean))  # torch uses threads from 32768 on
    whole = measure(estimate, clean)
    singles = torch.cat([measure(x[None], y[None]) for x, y in zip(estimate, clean, strict=True)])
    assert torch.equal(whole, singles)
    assert torch.equal(whole, measure(estimate.to(memory_format=torch.channels_last), clean))
    turned = estimate.double().transpose(2, 3).contiguous().transpose(2, 3)
    assert torch.equal(whole, measure(turned, clean))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 if threads != 3 else 1)
        assert torch.equal(whole, measure(estimate, clean))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("measure", [psnr_db, ssim])
@pytest.mark.parametrize("numbers", [1, 700, 1500, 20000])
def test_blocks_of_any_size_give_the_same_bits(measure, numbers, monkeypatch, estimate, clean):
    expected = measure(estimate, clean)
    monkeypatch.setattr(quality, "_BLOCK", numbers)
    assert torch.equal(measure(estimate, clean), expected)


@pytest.mark.parametrize("measure", [psnr_db, ssim])
def test_bytes_are_images_too(measure, clean):
    darker = (clean - 9).clamp(0, 255)
    assert torch.equal(measure(darker.byte(), clean.byte()), measure(darker, clean))


@pytest.mark.parametrize("measure", [psnr_db, ssim])
def test_no_images_have_no_values(measure):
    assert measure(torch.ones(0, 3, 20, 20), torch.ones(0, 3, 20, 20)).shape == (0,)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((2, 3, 20, 20), (2, 1, 20, 20)),
            r"needs two batches of one shape .*not \(2, 3, 20, 20\) and \(2, 1, 20, 20\)",
        ),
        (((3, 20, 20), (3, 20, 20)), r"of one shape \(N, C, H, W\)"),
        (((2, 0, 20, 20), (2, 0, 20, 20)), "without pixels"),
    ],
)
@pytest.mark.parametrize("measure", [psnr_db, ssim])
def test_refused(measure, shapes, message):
    with pytest.raises(HarnessError, match=message):
        measure(*(torch.ones(shape) for shape in shapes))
