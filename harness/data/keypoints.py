"""Keypoints of a grey image: places that are found again in a copy of it that was scaled or cut.

A keypoint is a maximum, over place and scale, of the determinant of the Hessian of the image blurred by a Gaussian
(Lindeberg, "Feature detection with automatic scale selection", 1998): a blob or a corner, never an edge. Its
descriptor is the spectrum of the patch around it, in units of its scale: DCT coefficients of low frequency without
the mean, weighted by frequency. Natural images have amplitudes that fall as 1/frequency, so the weights make all
coefficients about equally large, and the scalar product of the descriptors of two unrelated patches is small. A flip of
the patch changes the signs of odd coefficients, a transposition transposes them (`turned_spectra`).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Grey = NDArray[np.float32]  # (H, W)
Spectra = NDArray[np.float32]  # (N, kept, kept)

Symmetry = tuple[bool, bool, bool]
SYMMETRIES: tuple[Symmetry, ...] = tuple((bool(k & 4), bool(k & 2), bool(k & 1)) for k in range(8))
"""The eight flips and quarter turns of an image: whether it is transposed, then flipped up-down, then left-right."""

_STEPS = 3
"""Scales per octave."""
_SIGMA = 1.6
"""The finest scale, in pixels."""
_RADIUS = 5.0
"""Half the side of a patch, in units of the keypoint's scale."""
_SAMPLES = 12
_KEPT = 8
_PER_OCTAVE = 80
_DOUBLED = 200
"""Images with a shorter side than this are doubled in size first: patches near their border would be left out."""
_WEAKEST = 2.0
"""The least determinant, in (grey level)² at unit scale."""


@dataclass(frozen=True)
class Keypoints:
    """N keypoints of an image of `shape` (H, W): places (N, 2) as row and column, scales (N,) in pixels, spectra."""

    shape: tuple[int, int]
    places: NDArray[np.float32]
    scales: NDArray[np.float32]
    spectra: Spectra

    def turned_places(self, symmetry: Symmetry) -> NDArray[np.float32]:
        """Return the places (N, 2) in the image after one of `SYMMETRIES`."""
        transposed, up, left = symmetry
        last, places = np.array(self.shape, np.float32) - 1, self.places
        if transposed:
            last, places = last[::-1], places[:, ::-1]
        return np.where(np.array([up, left]), last - places, places)


def turned_image(grey: Grey, symmetry: Symmetry) -> Grey:
    """Return an image (H, W) after one of `SYMMETRIES`: (H, W) or (W, H)."""
    transposed, up, left = symmetry
    grey = grey.T if transposed else grey
    return grey[:: -1 if up else 1, :: -1 if left else 1]


def inverse(symmetry: Symmetry) -> Symmetry:
    """Return the symmetry that takes back one of `SYMMETRIES`."""
    transposed, up, left = symmetry
    return (True, left, up) if transposed else symmetry


def turned_spectra(spectra: Spectra, symmetry: Symmetry) -> Spectra:
    """Return what `whitened` gives for the patches after one of `SYMMETRIES`."""
    transposed, up, left = symmetry
    sign = np.where(np.arange(spectra.shape[1]) % 2, np.float32(-1), np.float32(1))
    spectra = spectra.transpose(0, 2, 1) if transposed else spectra
    spectra = spectra * sign[:, None] if up else spectra
    return spectra * sign if left else spectra


def whitened(patches: NDArray[np.float32], kept: int) -> Spectra:
    """Return spectra of unit length of patches: (N, S, S) → (N, kept, kept). That of a constant patch is zero."""
    spectra = fft.dctn(patches, axes=(1, 2), norm="ortho")[:, :kept, :kept] * _weights(kept)
    lengths = np.sqrt(np.square(spectra).sum((1, 2), keepdims=True))
    return np.where(lengths > 1, spectra / np.maximum(lengths, 1), 0).astype(np.float32)


@lru_cache(maxsize=16)
def _weights(kept: int) -> NDArray[np.float32]:
    frequency = np.hypot.outer(np.arange(kept), np.arange(kept)).astype(np.float32)
    return np.where(frequency < kept, frequency, 0)  # the corner beyond the circle is left out


def keypoints(grey: Grey, smallest_side: float = 0) -> Keypoints:
    """Return the strongest keypoints of each octave of an image (H, W), none if a side is below `smallest_side`."""
    shape = grey.shape[0], grey.shape[1]
    if min(shape) < smallest_side:
        return _none(shape)
    found = []
    factor, blur = 1.0, 0.5  # a photograph is taken to be blurred by half a pixel
    if min(shape) < _DOUBLED:
        grey, factor, blur = grey.repeat(2, 0).repeat(2, 1), 0.5, 1.0
    level = ndimage.gaussian_filter(grey, np.sqrt(_SIGMA**2 - blur**2))
    corner = (factor - 1) / 2  # where the first pixel's centre is
    while min(level.shape) > 2 * _RADIUS * _SIGMA + 2:
        levels = [level]
        for step in range(_STEPS + 1):
            finer, coarser = (_SIGMA * 2 ** (k / _STEPS) for k in (step, step + 1))
            levels.append(ndimage.gaussian_filter(levels[-1], np.sqrt(coarser**2 - finer**2)))
        places, scales, spectra = _of_octave(np.stack(levels))
        found.append((places * factor + corner, scales * factor, spectra))
        level, factor = levels[_STEPS][::2, ::2], factor * 2
    if not found:
        return _none(shape)
    places, scales, spectra = (np.concatenate(parts).astype(np.float32) for parts in zip(*found, strict=True))
    return Keypoints(shape, places, scales, spectra)


def _none(shape: tuple[int, int]) -> Keypoints:
    empty = np.zeros(0, np.float32)
    return Keypoints(shape, empty.reshape(0, 2), empty, empty.reshape(0, _KEPT, _KEPT))


def _of_octave(levels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], Spectra]:
    """Return places, scales and spectra of the keypoints of levels (L, H, W), in pixels of the octave."""
    sigmas = _SIGMA * 2 ** (np.arange(len(levels)) / _STEPS)
    strength = np.stack([sigma**4 * _determinant(level) for sigma, level in zip(sigmas, levels, strict=True)])
    peak = (strength == ndimage.maximum_filter(strength, 3, mode="nearest")) & (strength > _WEAKEST)
    peak[[0, -1]] = False
    peak[:, [0, -1]] = False
    peak[:, :, [0, -1]] = False
    at = np.argwhere(peak)  # (N, 3) as level, row, column
    at = at[np.argsort(-strength[tuple(at.T)], kind="stable")]
    exact = at + _offsets(strength, at)
    scales = _SIGMA * 2 ** (exact[:, 0] / _STEPS)
    margin, size = _RADIUS * scales[:, None], np.array(levels.shape[1:]) - 1
    inside = np.flatnonzero(((exact[:, 1:] >= margin) & (exact[:, 1:] <= size - margin)).all(1))[:_PER_OCTAVE]
    at, exact, scales = at[inside], exact[inside], scales[inside]
    grid = (np.arange(_SAMPLES) + 0.5) * (2 * _RADIUS / _SAMPLES) - _RADIUS  # (S,)
    rows, columns = (exact[:, axis, None] + scales[:, None] * grid for axis in (1, 2))  # (N, S) each
    shape = len(at), _SAMPLES, _SAMPLES
    coordinates = [
        np.broadcast_to(axis, shape) for axis in (at[:, :1, None].astype(float), rows[:, :, None], columns[:, None, :])
    ]
    patches = ndimage.map_coordinates(levels, coordinates, order=1)
    return exact[:, 1:].astype(np.float32), scales.astype(np.float32), whitened(patches, _KEPT)


def _determinant(level: Grey) -> NDArray[np.float32]:
    """Return the determinant of the Hessian of a level (H, W), zero on the border."""
    result = np.zeros_like(level)
    middle = level[1:-1, 1:-1]
    down = level[2:, 1:-1] + level[:-2, 1:-1] - 2 * middle
    right = level[1:-1, 2:] + level[1:-1, :-2] - 2 * middle
    mixed = (level[2:, 2:] + level[:-2, :-2] - level[2:, :-2] - level[:-2, 2:]) / 4
    result[1:-1, 1:-1] = down * right - mixed * mixed
    return result


def _offsets(strength: NDArray[np.float32], at: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how far off the grid each maximum is, (N, 3) within ±0.5: the peak of a parabola along each axis."""
    offsets = np.zeros(at.shape)
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        before, here, after = (strength[tuple((at + k * step).T)].astype(float) for k in (-1, 0, 1))
        curvature = before - 2 * here + after
        offsets[:, axis] = np.where(curvature < 0, (before - after) / (2 * np.minimum(curvature, -1e-9)), 0)
    return np.clip(offsets, -0.5, 0.5)
