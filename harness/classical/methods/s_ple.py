"""S-PLE: every patch is of one of 20 Gaussians, which EM fits to the noisy image, and is estimated by its Gaussian.

Y.-Q. Wang, J.-M. Morel: "SURE Guided Gaussian Mixture Image Denoising", SIAM J. Imaging Sciences 6(2), 2013. The
mixture starts from Gaussians of clean grey patches by their orientation, made from other photographs
(`s_ple_start.py`), and is fitted to the mean of the colours. Stein's estimate of the risk (SURE) chooses for each
Gaussian between two filters. Deviations: SURE may also choose to leave a Gaussian's patches as they are, which little
noise needs; chrominances are thresholded about the patch's mean, if SURE prefers that (of their degrees of freedom
the mean is one, so that a constant part of the kept basis vectors counts twice); a Gaussian with fewer patches than a
patch has pixels is not updated in that iteration.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.classical.images import (
    Progress,
    StepCounter,
    checked_image,
    checked_options,
    checked_sigma,
    checked_tile,
    in_float32,
)
from harness.classical.methods.s_ple_start import PATCH, stored_start
from harness.classical.mixture import Mixture, improved
from harness.classical.opponent import from_opponent, to_opponent
from harness.classical.options import SPleOptions
from harness.classical.patches import Aggregate, add_rows, patch_table
from harness.classical.tiles import Tile, cut

_SIDE = 96  # of the tiles over which is summed: sums, which EM depends on, are the same whatever a caller's tiles are


@in_float32
@torch.no_grad()
def s_ple(
    image: Tensor,
    sigma: float,
    options: SPleOptions | None = None,
    *,
    tile: int = 96,
    progress: Progress | None = None,
) -> Tensor:
    """Return an estimate of an image without its white Gaussian noise, by S-PLE.

    Args:
        image: (3, H, W) RGB or (1, H, W) grey, floating point on 0…255, neither clipped nor rounded; at least 16×16.
        sigma: standard deviation of the noise in each channel, on the same scale.
        options: the method's constants.
        tile: side in pixels of the squares that are worked on one after another; memory grows with its square. The
            result depends on it by rounding only.
        progress: called with (steps done, steps in all): EM's iterations, then the tiles, twice.

    Returns:
        The estimate, of the image's shape, dtype and device; not clipped.

    Raises:
        TypeError: `image` is not a tensor, or `options` are another method's.
        ValueError: wrong shape, dtype or size, NaN, sigma not above 0, or an image on 0…1 with a sigma that is not.
    """
    noisy = checked_image(image, "s_ple")
    opponent = to_opponent(noisy)
    sigma, tile, options = (
        checked_sigma(sigma, noisy, "s_ple"),
        checked_tile(tile, "s_ple"),
        checked_options(options, SPleOptions, "s_ple"),
    )
    scale = 1.0 if len(opponent) == 1 else 3**-0.5  # the mean of the colours is Y/√3, and so is its noise
    grey, spread = opponent[:1] * scale, sigma * scale
    height, width = grey.shape[1:]
    fixed, tiles = cut(height, width, PATCH, 1, 0, _SIDE), cut(height, width, PATCH, 1, 0, tile)
    counter = StepCounter(progress, options.iterations + len(fixed) + len(tiles))

    mixture = stored_start(spread**2, grey.device)
    for _ in range(options.iterations):
        mixture = improved(mixture, _batches(grey, fixed))[0]
        counter.step()

    filters = _Filters(mixture, sigma, scale, options)
    risks = torch.zeros(len(opponent), 3, len(mixture.sizes), dtype=torch.float64, device=grey.device)
    risks[1:, 2] = torch.inf  # two filters for the chrominances
    for part in fixed:
        best, estimates = filters(patch_table(opponent, PATCH, part))
        for channel, of_channel in enumerate(estimates):
            for k, filtered in enumerate(of_channel):
                add_rows(risks[channel, k], best, filtered.risk.double())
        counter.step()
    choice = risks.argmin(1)  # (C, K), the filter of a channel in each class

    aggregate = Aggregate(opponent, PATCH)
    for part in tiles:
        best, estimates = filters(patch_table(opponent, PATCH, part))
        chosen = [_chosen(of_channel, filter_of[best]) for of_channel, filter_of in zip(estimates, choice, strict=True)]
        chosen[0] = chosen[0] / scale
        aggregate.add(part, torch.stack(chosen, 1), grey.new_ones(len(best), 1))
        counter.step()
    return from_opponent(aggregate.result()).to(image.dtype)


def _batches(grey: Tensor, tiles: list[Tile]) -> Iterator[Tensor]:
    """Yield the patches of each tile as rows, (B, 64)."""
    return (patch_table(grey, PATCH, part)[:, 0] for part in tiles)


def _chosen(filters: list["Filtered"], choice: Tensor) -> Tensor:
    """Return of each patch the estimate by the filter that is chosen for it, (B,) → (B, 64)."""
    result = filters[0].patches.clone()
    for k, filtered in enumerate(filters[1:], 1):
        result = torch.where((choice == k)[:, None], filtered.patches, result)
    return result


def stein(noisy: Tensor, estimate: Tensor, freedom: Tensor, variance: float) -> Tensor:
    """Return Stein's unbiased estimate of the squared error per pixel: ‖x̂ − y‖²/n − s²(1 − 2·tr/n), (B, n) → (B,)."""
    n = noisy.shape[1]
    return (estimate - noisy).square().sum(1) / n - variance * (1 - 2 * freedom / n)


@dataclass(frozen=True)
class Filtered:
    """Estimates of patches, (B, 64), and Stein's estimate of their squared error per pixel, (B,)."""

    patches: Tensor
    risk: Tensor


class _Filters:
    """The estimates of patches under a mixture that is fitted to the mean of the colours."""

    def __init__(self, mixture: Mixture, sigma: float, scale: float, options: SPleOptions) -> None:
        values, vectors = mixture.spectrum
        self._mixture = mixture
        self._sigma, self._scale = sigma, scale
        self._options = options
        self._means = mixture.means.float()
        self._vectors = vectors.float()
        gains = values / (values + mixture.variance)
        self._traces = gains.sum(1).float()
        self._wiener = ((vectors * gains[:, None]) @ vectors.mT).float()

    def __call__(self, table: Tensor) -> tuple[Tensor, list[list[Filtered]]]:
        """Return the most likely classes of patches, (B,), and for each channel the estimates by all filters.

        Args:
            table: patches (B, C, 64), of luminance Y and perhaps chrominances.

        Returns:
            Of the first channel, which is the mean of the colours: as it is, the mixed Wiener filters, the threshold.
            Of the others: as they are, the threshold.
        """
        rows = table[:, 0] * self._scale
        joint = self._mixture.log_joint(rows).log_softmax(1)
        best = joint.argmax(1)
        spread = self._sigma * self._scale
        thresholded = self._thresholded(rows, self._means[best], best, spread, free=0)
        result = [[_unfiltered(rows, spread), self._mixed(rows, joint), thresholded]]
        for chroma in table[:, 1:].unbind(1):
            mean = chroma.mean(1, keepdim=True)
            thresholded = self._thresholded(chroma, mean, best, self._sigma, free=1)  # the mean follows the noise too
            result.append([_unfiltered(chroma, self._sigma), thresholded])
        return best, result

    def _mixed(self, rows: Tensor, joint: Tensor) -> Filtered:
        """Return the means of all classes' Wiener estimates, weighted by the classes' probabilities."""
        probability = joint.exp()
        probability *= probability > self._options.negligible
        probability /= probability.sum(1, keepdim=True)
        estimate = torch.zeros_like(rows)
        for k, (mean, matrix) in enumerate(zip(self._means, self._wiener, strict=True)):
            members = probability[:, k].nonzero()[:, 0]
            share = probability[members, k, None]
            estimate.index_add_(0, members, (mean + (rows[members] - mean) @ matrix).mul_(share))
        return Filtered(estimate, stein(rows, estimate, probability @ self._traces, self._mixture.variance))

    def _thresholded(self, rows: Tensor, means: Tensor, best: Tensor, spread: float, free: int) -> Filtered:
        """Return patches whose deviations from `means` have no small coefficients in their class's basis."""
        deviation = rows - means
        estimate, freedom = torch.zeros_like(rows), rows.new_full((len(rows),), free)
        for k, size in enumerate(self._mixture.sizes):
            members = (best == k).nonzero()[:, 0]
            basis = self._vectors[k, :, :size]
            coefficients = deviation[members] @ basis
            kept = coefficients.abs() >= self._options.threshold * spread * math.sqrt(2 * math.log(size))
            estimate[members] = (coefficients * kept) @ basis.T
            freedom[members] += kept.sum(1)
        estimate += means
        return Filtered(estimate, stein(rows, estimate, freedom, spread**2))


def _unfiltered(rows: Tensor, spread: float) -> Filtered:
    return Filtered(rows, rows.new_full((len(rows),), spread**2))
