"""The level of white noise in a picture, from the picture alone.

G. Chen, F. Zhu, P. A. Heng: "An Efficient Statistical Method for Image Noise Level Estimation", ICCV 2015. Patches of a
picture lie near a subspace; across it there is only noise. So of the eigenvalues of the patches' covariance the large
ones belong to the picture and the others scatter around σ². Its Algorithm 1 leaves out the largest ones, one after the
other, until the mean of the rest is its median, too.

Two things are added, each of which makes it more accurate on photographs (docs/denoise-a-picture.md has the numbers):

- Of grey pictures only patches are used whose gradients noise alone could have made: X. Liu, M. Tanaka, M. Okutomi,
  "Single-Image Noise Level Estimation for Blind Denoising", IEEE Trans. Image Processing 22(12), 2013. They are chosen
  with the level found last, and the level is then found from them. In colour, where channels resemble each other, this
  gains nothing.
- If the picture was clipped to 0…255, patches are used whose mean is so far from both that clipping hardly matters.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import gammaincinv

SMALLEST = 16
"""Pixels in height and width of which an estimate can be made."""

_SIDES = (8, 6, 4)  # of patches: the largest of which there are enough
_PLENTY, _ENOUGH = 30, 8  # patches per dimension: of all, for a side to be taken; of those that are chosen
_MOST = 40_000  # patches that are looked at
_ROUNDS = 3  # of choosing patches
_SURE = 1 - 1e-6  # the part of patches without texture that are taken for such
_CLIPPED = 1e-3  # the part of values at exactly 0 or 255 from which a picture counts as clipped
_FAR = 2.0  # σ that a patch's mean is from 0 and 255 in a clipped picture

Patches = NDArray[np.float64]


def estimate_sigma(picture: NDArray[np.float32]) -> float | None:
    """Return the standard deviation of the noise in a picture (H, W, C) on 0…255; None if it is too small.

    The noise is taken to be white, Gaussian and of one level in all channels: what a camera has compressed or
    interpolated is neither, and its level comes out too low.
    """
    height, width, channels = picture.shape
    if min(height, width) < SMALLEST:
        return None
    side = next(
        (s for s in _SIDES if (height - s + 1) * (width - s + 1) >= _PLENTY * channels * s**2),
        _SIDES[-1],
    )
    patches = _patches(picture, side)  # (n, C, s, s)
    roughness = _roughness(patches)
    room = np.minimum(mean := patches.mean((2, 3)), 255 - mean).min(1)  # (n,): how far from 0 and from 255
    clipped = np.mean((picture == 0) | (picture == 255)) > _CLIPPED
    rows = patches.reshape(len(patches), -1)  # (n, C·s²)
    enough = _ENOUGH * rows.shape[1]
    sigma = _noise_of(rows)
    if channels > 1 and not clipped:
        return sigma
    for _ in range(_ROUNDS):
        chosen = np.ones(len(rows), dtype=bool)
        if clipped:
            most = max(enough, len(rows) // 20)
            chosen = room >= min(_FAR * sigma, np.sort(room)[-min(most, len(rows))])
        if channels == 1:
            flat = chosen & (roughness <= sigma**2 * _roughest(side))
            chosen = flat if flat.sum() >= enough else chosen
        if chosen.sum() < enough:
            break
        sigma, before = _noise_of(rows[chosen]), sigma
        if abs(sigma - before) < 1e-3 * before:
            break
    return sigma


def _patches(picture: NDArray[np.float32], side: int) -> Patches:
    """Return patches (n, C, side, side), evenly spread: all of them, or about 40,000 of a large picture."""
    windows = sliding_window_view(picture, (side, side), axis=(0, 1))  # (h, w, C, s, s)
    step = max(1, int(np.ceil(np.sqrt(windows.shape[0] * windows.shape[1] / _MOST))))
    return windows[::step, ::step].reshape(-1, picture.shape[2], side, side).astype(np.float64)


def _noise_of(rows: Patches) -> float:
    """Return σ from patches (n, d) by the eigenvalues of their covariance (Algorithm 1 of Chen et al.)."""
    eigenvalues: NDArray[np.floating[Any]] = np.linalg.eigvalsh(np.cov(rows, rowvar=False))  # in rising order
    mean = 0.0
    for count in range(len(eigenvalues), 0, -1):
        rest = eigenvalues[:count]
        mean = float(rest.mean())
        if np.count_nonzero(rest > mean) >= np.count_nonzero(rest < mean):
            break
    return float(np.sqrt(max(mean, 0.0)))


def _roughness(patches: Patches) -> NDArray[np.float64]:
    """Return the sum of squares of all central differences in each patch, (n,)."""
    total: NDArray[np.float64] = (
        np.square(patches[..., 2:] - patches[..., :-2]).sum((1, 2, 3))
        + np.square(patches[..., 2:, :] - patches[..., :-2, :]).sum((1, 2, 3))
    ) / 4
    return total


def _roughest(side: int) -> float:
    """Return the roughness that a grey patch of noise of σ = 1 and nothing else almost never exceeds.

    A sum of squares of linear functions is about gamma distributed, with the rank and the trace of its matrix.
    """
    difference = (np.eye(side, k=2) - np.eye(side))[: side - 2] / 2  # (s − 2, s)
    across = difference.T @ difference  # (s, s)
    matrix = np.kron(across, np.eye(side)) + np.kron(np.eye(side), across)  # (s², s²)
    rank, trace = np.linalg.matrix_rank(matrix), np.trace(matrix)
    return float(gammaincinv(rank / 2, _SURE) * 2 * trace / rank)
