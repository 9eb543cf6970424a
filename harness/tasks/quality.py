"""PSNR and SSIM: how near an estimated image is to the clean one.

SSIM is that of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity" (2004), equation 13 with their window and constants: an 11×11 Gaussian of σ = 1.5, K1 = 0.01, K2 = 0.03. It
agrees to 1e-6 with scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
data_range=255)`, which also averages over the windows inside the image and then over channels.

Everything is computed in float64, in blocks of bounded size. On a CPU an image's value has the same bits whatever batch
it is in and however many threads there are: products and sums are rounded one by one, and sums are taken row by row.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from harness.base.errors import HarnessError

PEAK = 255.0
_WINDOW = 11
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
_BLOCK = 1 << 16
"""Numbers per block: the dozen float64 arrays of a block fit in a processor's cache."""


def psnr_db(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio per image in dB, float64 (N,).

    Both images are (N, C, H, W) on 0…255, of any dtype; neither is clipped or rounded here. The mean squared error is
    over all channels and pixels of an image, the peak 255. Equal images give inf, an image with a NaN gives NaN. Raises
    HarnessError if shapes differ or images are empty.
    """
    _check(estimate, clean)
    sums = clean.new_empty(clean.shape[:3], dtype=torch.float64)  # (N, C, H): one sum per row
    x, y, rows = estimate.flatten(0, 1), clean.flatten(0, 1), sums.flatten(0, 1)  # (N·C, H, W), and (N·C, H)
    for planes, lines in _blocks(*x.shape, overlap=0):
        difference = _read(x[planes, lines]) - _read(y[planes, lines])
        rows[planes, lines] = difference.square_().sum(-1)
    error = sums.sum(-1).sum(-1) / math.prod(clean.shape[1:])  # (N,)
    return -10 * torch.log10(error / PEAK**2)


def ssim(estimate: Tensor, clean: Tensor) -> Tensor:
    """Return the structural similarity per image, float64 (N,), at most 1.

    Both images are (N, C, H, W) on 0…255, of any dtype. It is the mean over channels and over all windows inside the
    image, so no window is centred on a border of 5 pixels. Images of fewer than 11 pixels in height or width, and
    images with a NaN, give NaN. Raises HarnessError if shapes differ or images are empty.
    """
    _check(estimate, clean)
    images, channels, height, width = clean.shape
    high, wide = height - _WINDOW + 1, width - _WINDOW + 1
    if high < 1 or wide < 1:
        return clean.new_full((images,), math.nan, dtype=torch.float64)
    sums = clean.new_empty((images, channels, high), dtype=torch.float64)  # one sum per row of windows
    x, y, rows = estimate.flatten(0, 1), clean.flatten(0, 1), sums.flatten(0, 1)  # (N·C, H, W), and (N·C, H-10)
    for planes, lines in _blocks(*x.shape, overlap=_WINDOW - 1):
        similar = _similarity(_read(x[planes, lines]), _read(y[planes, lines]))
        rows[planes, lines.start : lines.stop - _WINDOW + 1] = similar.sum(-1)
    return sums.sum(-1).sum(-1) / (channels * high * wide)


def _check(estimate: Tensor, clean: Tensor) -> None:
    if estimate.shape != clean.shape or clean.dim() != 4:
        shapes = f"{tuple(estimate.shape)} and {tuple(clean.shape)}"
        raise HarnessError(f"image quality needs two batches of one shape (N, C, H, W), not {shapes}")
    if not math.prod(clean.shape[1:]):
        raise HarnessError(f"image quality of images without pixels: {tuple(clean.shape)}")


def _blocks(planes: int, height: int, width: int, *, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of planes and of rows; successive slices of rows overlap, and are longer than the overlap."""
    at_once = max(1, _BLOCK // (height * width))
    step = max(1, overlap, _BLOCK // width - overlap) if at_once == 1 else height
    for plane in range(0, planes, at_once):
        for line in range(0, height - overlap, step):
            yield slice(plane, min(plane + at_once, planes)), slice(line, min(line + step + overlap, height))


def _read(block: Tensor) -> Tensor:
    return block.double().contiguous()  # the layout decides how a sum is rounded


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return the similarity of all windows of planes: twice (P, H, W) → (P, H-10, W-10)."""
    # Variances occur in the formula only as their sum, so four means are enough.
    squares, product = x * x + y * y, x * y
    mean_x, mean_y, squares, product = (_blurred(map_) for map_ in (x, y, squares, product))
    of_squares, of_product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
    means = (2 * of_product + _C1) / (of_squares + _C1)
    return means * (2 * (product - of_product) + _C2) / ((squares - of_squares) + _C2)


def _gaussian() -> tuple[float, ...]:
    weights = [math.exp(-0.5 * (offset / 1.5) ** 2) for offset in range(-(_WINDOW // 2), _WINDOW // 2 + 1)]
    return tuple(weight / math.fsum(weights) for weight in weights)


_WEIGHTS = _gaussian()


def _blurred(planes: Tensor) -> Tensor:
    """Return weighted means over windows: (P, H, W) → (P, H-10, W-10)."""
    for dim in (1, 2):
        length = planes.shape[dim] - _WINDOW + 1
        middle = _WINDOW // 2
        total = planes.narrow(dim, middle, length) * _WEIGHTS[middle]
        for i in range(middle):  # the window is symmetric; no fused multiply-add, whose use depends on the layout
            pair = planes.narrow(dim, i, length) + planes.narrow(dim, _WINDOW - 1 - i, length)
            total += pair.mul_(_WEIGHTS[i])
        planes = total
    return planes
