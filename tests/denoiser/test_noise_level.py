"""The estimated noise level is near the true one: on photographs, at every size, and on what has no structure."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from harness.denoiser.noise_level import SMALLEST, estimate_sigma


def _noisy(image, sigma):
    return (image + sigma * np.random.default_rng(0).standard_normal(image.shape)).astype(np.float32)


@pytest.mark.parametrize("sigma", [5, 10, 25, 40, 60])
@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("grey", [False, True])
def test_it_is_within_a_tenth_on_photographs(name, sigma, grey):
    image = load_sample_image(name)[:320, :480].astype(float)
    image = image.mean(2, keepdims=True) if grey else image
    assert estimate_sigma(_noisy(image, sigma)) == pytest.approx(sigma, rel=0.1, abs=0.5)


@pytest.mark.parametrize("shape", [(64, 64, 1), (40, 100, 3), (1000, 1500, 1)])
def test_noise_alone_is_found_exactly(shape):
    assert estimate_sigma(_noisy(np.full(shape, 128.0), 20)) == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_picture_has_an_estimate_and_smaller_ones_have_none(channels):
    flat = np.full((SMALLEST, SMALLEST, channels), 128.0)
    assert estimate_sigma(_noisy(flat, 20)) == pytest.approx(20, rel=0.3)
    assert estimate_sigma(_noisy(flat[1:], 20)) is None
    assert estimate_sigma(np.zeros((1, 1, channels), dtype=np.float32)) is None


def test_without_noise_and_structure_it_is_zero():
    assert estimate_sigma(np.full((32, 32, 3), 77, dtype=np.float32)) == 0


def test_it_is_on_the_scale_of_the_picture():
    noisy = _noisy(load_sample_image("china.jpg")[:200, :200].astype(float), 25)
    assert estimate_sigma(noisy / 255) == pytest.approx(estimate_sigma(noisy) / 255, rel=1e-3)
