"""Denoisers that are not trained, on this machine: seconds and PSNR per image.

The images are the first of a folder, or the middle of the photograph that comes with matplotlib, in colour, mirrored at
its edges if a larger one is asked for; with white Gaussian noise that is neither clipped nor rounded. Beside them the
package `bm3d`, if it is installed; it is never needed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.base.errors import HarnessError
from harness.base.extras import is_installed
from harness.classical.options import SMALLEST
from harness.data.locations import data_root
from harness.data.own.listing import list_images
from harness.data.photographs import load_images
from harness.denoiser.pictures import read_picture
from harness.models.build import build_model
from harness.tasks.denoising import Level, as_pixels, with_noise
from harness.tasks.quality import psnr_db
from harness.training.process import peak_memory_bytes, reset_peak_memory, synchronise
from harness.trial.classical import UNTRAINED
from harness.trial.datasets import DATASETS

PACKAGE = "bm3d (the package)"
METHODS = (*(declared.name for declared in UNTRAINED), PACKAGE)
_BLUR = {"sigma": 1.0}  # the one method with an option that has no default

Method = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Timed:
    """A method's estimates of some images at one noise level."""

    method: str
    images: int
    noise_seeds: int
    sigma: float
    psnr_db: float  # mean over images and noise seeds
    seconds: float  # of one image, the median over images and noise seeds; of an image's calls the shortest counts
    threads: int
    device: str
    peak_memory_bytes: int | None  # of the process, torch and the images in it; on a GPU what was allocated there


def bench_methods(
    methods: Sequence[str],
    images: Sequence[NDArray[np.uint8]],
    *,
    sigmas: Sequence[float],
    noise_seeds: int = 1,
    repeats: int = 1,
    device: str,
    say: Callable[[str], None],
) -> Iterator[Timed]:
    """Time methods that are installed, all if none are named, on images uint8 (C, H, W) with noise of some levels.

    The noise is that of `noise_seed` 0, 1, … in studies. Each noisy image is given to all methods in turn, so that
    other load affects all methods alike.
    """
    where, ready = torch.device(device), {}
    for name in methods or METHODS:
        method = _method(name)
        if method is None:
            say(f"{name} is not installed")
        else:
            ready[name] = method
            _first_call(method, images[0], where)
    for sigma in sigmas:
        found: dict[str, list[_Estimated]] = {name: [] for name in ready}
        for place, clean in enumerate(images, 1):
            say(f"sigma {sigma:g}, image {place}/{len(images)} …")
            for seed in range(noise_seeds):
                for name, method in ready.items():
                    found[name].append(_estimated(method, clean, sigma, seed, repeats, where))
        for name, estimated in found.items():
            decibels, seconds, peaks = zip(*estimated, strict=True)
            yield Timed(
                method=name,
                images=len(images),
                noise_seeds=noise_seeds,
                sigma=sigma,
                psnr_db=mean(decibels),
                seconds=median(seconds),
                threads=torch.get_num_threads(),
                device=where.type,
                peak_memory_bytes=None if None in peaks else max(peaks),
            )


def first_pictures(folder: Path, take: int) -> list[NDArray[np.uint8]]:
    """Return the first pictures of a folder by name, uint8 (C, H, W); `take` of a named set has another order.

    Raises HarnessError if there are fewer, or one cannot be read or is too small for the methods.
    """
    paths = sorted(file.path for file in list_images(folder))[:take]
    if len(paths) < take:
        raise HarnessError(f"{folder} has {len(paths)} images, not {take}")
    pictures = [read_picture(path).pixels.transpose(2, 0, 1) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        height, width = picture.shape[1:]
        if min(height, width) < SMALLEST:
            raise HarnessError(f"{path} is {height}×{width}; the smallest that can be timed is {SMALLEST}×{SMALLEST}")
    return [np.ascontiguousarray(picture) for picture in pictures]


def middle_of_photograph(size: int) -> NDArray[np.uint8]:
    """Return the middle of matplotlib's photograph, which is mirrored beyond its edges: uint8 (3, size, size)."""
    whole = load_images(DATASETS["sample-photos"], data_root())["test"][0]
    more = [max(0, size - edge) for edge in whole.shape[1:]]
    whole = np.pad(whole, ((0, 0), *((extra // 2, extra - extra // 2) for extra in more)), mode="symmetric")
    height, width = whole.shape[1:]
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(whole[:, top : top + size, left : left + size])


def _first_call(method: Method, clean: NDArray[np.uint8], device: torch.device) -> None:
    """Denoise a corner of an image: imports, and the first call's own costs."""
    method(torch.tensor(clean[:, :32, :32]).float().to(device), 25)


class _Estimated(NamedTuple):
    psnr_db: float
    seconds: float  # of the shortest call
    peak_memory_bytes: int | None


def _estimated(
    method: Method, clean: NDArray[np.uint8], sigma: float, seed: int, repeats: int, device: torch.device
) -> _Estimated:
    noisy = with_noise(clean, Level(sigma, noise_seed=seed)).to(device)
    seconds = []
    reset_peak_memory(device)
    for _ in range(repeats):
        synchronise(device)
        started = time.perf_counter()
        estimate = method(noisy, sigma)
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    peak = peak_memory_bytes(device)
    pixels = as_pixels(estimate.cpu())[None]
    return _Estimated(float(psnr_db(pixels, torch.tensor(clean)[None])), min(seconds), peak)


def _method(name: str) -> Method | None:
    """Return a method that takes one image (C, H, W) and the noise's level; None if it is not installed."""
    if name == PACKAGE:
        return None if find_spec("bm3d") is None else _package
    declared = next(each for each in UNTRAINED if each.name == name)
    if not all(map(is_installed, declared.libraries)):
        return None
    options = _BLUR if name == "blur" else {}
    model = build_model({"model": {"kind": name, **options}, "compressors": {}}).eval()

    def call(noisy: Tensor, sigma: float) -> Tensor:
        with torch.no_grad():
            estimate: Tensor = model(noisy[None], torch.tensor([sigma], device=noisy.device))[0]
        return estimate

    return call


def _package(noisy: Tensor, sigma: float) -> Tensor:
    import bm3d

    array = noisy.cpu().permute(1, 2, 0).double().numpy() / 255  # (H, W, C)
    grey = array.shape[2] == 1
    estimate = bm3d.bm3d(array[..., 0], sigma / 255) if grey else bm3d.bm3d_rgb(array, sigma / 255)
    return torch.from_numpy(255 * np.atleast_3d(estimate)).permute(2, 0, 1).float()
