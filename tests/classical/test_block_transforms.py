"""The transforms of BM3D: orthonormal or inverted exactly, and those that they are said to be."""

import math

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from harness.classical import transforms


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32])
def test_haar_is_orthonormal(size):
    matrix = transforms.haar(size)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(matrix[0], torch.full((size,), size**-0.5, dtype=torch.float64))


def test_haar_compares_halves_then_quarters():
    expected = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, -0.5, -0.5]], dtype=torch.float64)
    torch.testing.assert_close(transforms.haar(4)[:2], expected)
    a = math.sqrt(0.5)
    fine = torch.tensor([[a, -a, 0, 0], [0, 0, a, -a]], dtype=torch.float64)
    torch.testing.assert_close(transforms.haar(4)[2:], fine)


@pytest.mark.parametrize("size", [0, 3, 12])
def test_haar_needs_a_power_of_two(size):
    with pytest.raises(ValueError, match=f"a power of two, not {size}"):
        transforms.haar(size)


def test_cosine_is_scipys():
    expected = scipy.fft.dct(np.eye(8), axis=0, norm="ortho")
    np.testing.assert_allclose(transforms.cosine(8).numpy(), expected, atol=1e-12)


def test_biorthogonal_is_the_wavelets_decomposition_with_rows_of_norm_1():
    low = (
        np.array([3, -3, -22, 22, 128, 128, 22, -22, -3, 3]) / 256 * math.sqrt(2)
    )  # bior1.5, Daubechies 1992, table 8.2
    high = np.array([1, -1]) / math.sqrt(2)

    def step(x):
        n = len(x)
        lows = [sum(low[j] * x[(2 * i + j - 4) % n] for j in range(10)) for i in range(n // 2)]
        highs = [sum(high[j] * x[2 * i + j] for j in range(2)) for i in range(n // 2)]
        return np.array(lows), np.array(highs)

    def decompose(x):
        details = []
        while len(x) > 1:
            x, high_part = step(x)
            details.insert(0, high_part)
        return np.concatenate([x, *details])

    rows = np.stack([decompose(x) for x in np.eye(8)], 1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ours = transforms.biorthogonal().numpy()
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-12)
    signs = np.sign((rows * ours).sum(1, keepdims=True))
    np.testing.assert_allclose(rows * signs, ours, atol=1e-9)


@pytest.mark.parametrize("matrix", [transforms.biorthogonal(), transforms.cosine(8)])
def test_two_dimensions_are_one_after_the_other_and_come_back(matrix):
    patch = torch.randn(8, 8, dtype=torch.float64)
    both = transforms.separable(matrix)
    coefficients = both @ patch.flatten()
    torch.testing.assert_close(coefficients.view(8, 8), matrix @ patch @ matrix.T)
    torch.testing.assert_close((torch.linalg.inv(both) @ coefficients).view(8, 8), patch)


def test_kaisers_window_is_scipys():
    window = scipy.signal.windows.kaiser(8, 2.0)
    np.testing.assert_allclose(transforms.kaiser(8, 2.0).numpy(), np.outer(window, window), rtol=1e-6)
