"""One denoiser applied to one picture: its noise level if that is not given, channels that do not fit, checks.

A colour network gets a grey picture three times, and its answers are averaged; a grey network gets the channels of a
colour picture one by one. Both are said. The first hardly works, because noise that is equal in all channels is taken
for a part of the picture, which is why the default for grey pictures is another. `add_noise` makes the noisy picture
exactly as the task's evaluation does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from harness.base.errors import HarnessError
from harness.denoiser.denoisers import Denoiser
from harness.denoiser.noise_level import SMALLEST, estimate_sigma
from harness.denoiser.tiling import Progress
from harness.tasks.denoising import Level, with_noise
from harness.tasks.quality import psnr_db, ssim

Values = NDArray[np.float32]

_NOTHING = 0.3  # a level below which rounding to whole numbers is all the noise that there is: 1/√12


@dataclass(frozen=True)
class Outcome:
    """An estimate (H, W, C), not clipped; by which denoiser, with which level, and what a person should know of it."""

    values: Values
    denoiser: Denoiser
    sigma: float | None
    estimated: bool  # was sigma estimated from the picture?
    notes: tuple[str, ...] = ()

    def pixels(self) -> NDArray[np.uint8]:
        """Return the estimate as pixels, clipped to 0…255 and rounded, as it is measured and written."""
        return as_pixels(self.values)


@dataclass(frozen=True)
class Quality:
    """How near a picture is to the clean one; SSIM is NaN for fewer than 11 pixels in height or width."""

    psnr_db: float
    ssim: float


def as_pixels(values: Values) -> NDArray[np.uint8]:
    """Return values as pixels: clipped to 0…255 and rounded."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def add_noise(clean: NDArray[np.uint8], sigma: float, seed: int) -> Values:
    """Return a picture uint8 (H, W, C) with white Gaussian noise, neither clipped nor rounded, as the task adds it."""
    image = np.ascontiguousarray(clean.transpose(2, 0, 1))  # (C, H, W): what the noise follows from
    return with_noise(image, Level(sigma, noise_seed=seed)).permute(1, 2, 0).numpy()


def quality(picture: Values, clean: NDArray[np.uint8]) -> Quality:
    """Return PSNR [dB] and SSIM of a picture (H, W, C) as it is."""
    one, other = (torch.tensor(x).permute(2, 0, 1)[None].float() for x in (picture, clean))  # (1, C, H, W)
    return Quality(float(psnr_db(one, other)), float(ssim(one, other)))


def denoise_values(
    denoiser: Denoiser,
    noisy: Values,
    sigma: float | None = None,
    *,
    tile: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Return the estimate of a noisy picture (H, W, C), C 1 or 3, on 0…255.

    Args:
        sigma: the noise level; estimated from the picture if None.
        tile: side of the tiles of a large picture; None for the denoiser's own choice.
        progress: called with (steps done, steps in all) of methods that take long.

    Raises:
        HarnessError: the level is needed and cannot be estimated; the denoiser gave NaN, or another size.
    """
    notes = []
    channels = noisy.shape[2]
    if channels == 3 and bool((noisy == noisy[..., :1]).all()):
        noisy = noisy[..., :1]
        notes.append("its three channels are equal: treated as grey")
    if noisy.shape[2] == 1 and denoiser.for_grey is not None:
        denoiser = denoiser.for_grey
        notes.append(f"a grey picture: the default network is for colour, so {denoiser.name} is used")
    estimated = sigma is None
    level = estimate_sigma(noisy) if sigma is None else sigma
    if level is None and denoiser.needs_sigma:
        raise HarnessError(f"too small to estimate the noise (less than {SMALLEST}×{SMALLEST}); give sigma")
    if denoiser.needs_sigma and level is not None and estimated and level < _NOTHING:
        notes.append("no noise was found: unchanged")
        values = noisy
    else:
        notes += _misfits(denoiser, level)
        values, said = _estimate(denoiser, noisy, level, tile, progress)
        notes += said
    return Outcome(np.repeat(values, channels // values.shape[2], axis=2), denoiser, level, estimated, tuple(notes))


def denoise_array(
    image: object, find: Callable[[], Denoiser], sigma: float | None, tile: int | None
) -> NDArray[np.uint8] | NDArray[np.floating[Any]]:
    """Return an image without its noise, as `harness.denoise` has it. `find` is called once the image is checked.

    Raises HarnessError if the image is not (H, W) or (H, W, C), uint8 or floating point on 0…255.
    """
    array = _checked_array(image)
    if sigma is not None and not (isinstance(sigma, Real) and 0 < sigma <= 255):
        raise HarnessError(f"sigma is {sigma!r}; give a number above 0 and at most 255, or None to estimate it")
    planes = array[..., None] if array.ndim == 2 else array
    colours = planes[..., :3]
    found = denoise_values(find(), colours.astype(np.float32), sigma, tile=tile)
    values = found.pixels() if array.dtype == np.uint8 else found.values.astype(array.dtype)
    return np.concatenate([values, planes[..., 3:]], axis=2).reshape(array.shape)


def _checked_array(image: object) -> NDArray[Any]:
    wanted = "give a NumPy array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    if not isinstance(image, np.ndarray):
        raise HarnessError(f"the image is a {type(image).__name__}; {wanted}")
    if image.ndim not in {2, 3} or (image.ndim == 3 and image.shape[2] not in {1, 3, 4}) or image.size == 0:
        raise HarnessError(f"the image has shape {image.shape}; {wanted}")
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise HarnessError(f"the image has dtype {image.dtype}; give uint8, or floating point on 0…255")
    if not np.isfinite(image).all():
        raise HarnessError("the image holds NaN or infinity")
    if image.dtype != np.uint8 and 0 < np.ptp(image) <= 2 and np.abs(image).max() <= 2:
        raise HarnessError("the values of the image look like a scale of 0…1; multiply them by 255")
    return image


def _misfits(denoiser: Denoiser, level: float | None) -> list[str]:
    if denoiser.levels is None or level is None:
        return []
    low, high = denoiser.levels
    trained = f"σ {low:g} to {high:g}" if low < high else f"σ {low:g}"
    if 0.8 * low - 2 <= level <= 1.2 * high + 2:
        return []
    return [f"it was trained for {trained}: expect a poorer result"]


def _estimate(
    denoiser: Denoiser, noisy: Values, level: float | None, tile: int | None, progress: Progress | None
) -> tuple[Values, list[str]]:
    """Return the estimate (H, W, C) and what is to be said of how the channels were brought to the denoiser."""
    height, width, channels = noisy.shape
    images = torch.tensor(noisy).permute(2, 0, 1)[None]  # (1, C, H, W)
    notes = []
    if channels not in denoiser.channels:
        if channels == 1:
            images = images.expand(-1, 3, -1, -1)
            notes.append("a grey picture, a colour network: it removes little of noise that is equal in all channels")
        else:
            images = images.transpose(0, 1)  # (3, 1, H, W)
            notes.append("a colour picture, a grey network: channel by channel")
    below, right = (max(0, denoiser.smallest - size) for size in (height, width))
    given = F.pad(images.contiguous(), (0, right, 0, below), mode="replicate").to(denoiser.device)
    found = denoiser.estimate(given, level, tile, progress)
    _check(denoiser, given, found)
    found = found[..., :height, :width].float().cpu()
    if channels not in denoiser.channels:
        found = found.mean(1, keepdim=True) if channels == 1 else found.transpose(0, 1)
    return found[0].permute(1, 2, 0).numpy(), notes


def _check(denoiser: Denoiser, given: Tensor, found: Tensor) -> None:
    if found.shape != given.shape:
        sizes = ["×".join(map(str, tensor.shape)) for tensor in (found, given)]
        raise HarnessError(f"{denoiser.name} gave an estimate of {sizes[0]} for {sizes[1]}: it is not a denoiser")
    broken = math.prod(found.shape) - int(torch.isfinite(found).sum())
    if broken:
        raise HarnessError(f"{denoiser.name} gave NaN or infinity at {broken:,} values: its training has diverged")
