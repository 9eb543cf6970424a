"""S-PLE: every patch is of one of 20 Gaussians, which EM fits to the noisy image, and is estimated by its Gaussian.

Y.-Q. Wang, J.-M. Morel: "SURE Guided Gaussian Mixture Image Denoising", SIAM J. Imaging Sciences 6(2), 2013. The
mixture starts from Gaussians of clean grey patches by their orientation, made from other photographs
(`s_ple_start.py`), and is fitted to the mean of the colours. Stein's estimate of the risk (SURE) chooses for each
Gaussian between two filters. Deviation: chrominances are thresholded about the patch's mean.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.classical.images import Progress, StepCounter, checked_image, checked_sigma, checked_tile
from harness.classical.methods.s_ple_start import PATCH, stored_start
from harness.classical.mixture import Mixture, improved
from harness.classical.opponent import from_opponent, to_opponent
from harness.classical.patches import Aggregate, patch_table
from harness.classical.tiles import Tile, cut

_PIXELS = PATCH**2


@dataclass(frozen=True)
class SPleOptions:
    """The constants of S-PLE.

    Attributes:
        iterations: of EM.
        threshold: factor of s·√(2 ln m), below which a coefficient in a Gaussian of m factors becomes 0.
        negligible: a probability of a Gaussian, below which it has no part in a patch's mixed estimate.

    Raises:
        ValueError: a value that the method cannot use.
    """

    iterations: int = 8
    threshold: float = 1.0
    negligible: float = 1e-3

    def __post_init__(self) -> None:
        if self.iterations < 0 or self.threshold < 0 or not 0 <= self.negligible < 0.05:
            raise ValueError("s_ple: iterations and threshold must not be below 0, negligible in 0 … 0.05")


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
        TypeError: `image` is not a tensor.
        ValueError: wrong shape, dtype or size, NaN, or sigma not above 0.
    """
    opponent = to_opponent(checked_image(image, "s_ple"))
    sigma, tile, options = checked_sigma(sigma, "s_ple"), checked_tile(tile, "s_ple"), options or SPleOptions()
    scale = 1.0 if len(opponent) == 1 else 3**-0.5  # the mean of the colours is Y/√3, and so is its noise
    grey, spread = opponent[:1] * scale, sigma * scale
    height, width = grey.shape[1:]
    tiles = cut(height, width, PATCH, 1, 0, tile)
    counter = StepCounter(progress, options.iterations + 2 * len(tiles))

    mixture = stored_start(spread**2, grey.device)
    for _ in range(options.iterations):
        mixture = improved(mixture, _batches(grey, tiles))[0]
        counter.step()

    filters = _Filters(mixture, options)
    risks = torch.zeros(2, len(mixture.sizes), dtype=torch.float64, device=grey.device)
    for rows in _batches(grey, tiles):
        best, joint = filters.classes(rows)
        for risk, (estimate, freedom) in zip(risks, filters(rows, best, joint), strict=True):
            risk.index_add_(0, best, stein(rows, estimate, freedom, spread**2).double())
        counter.step()
    thresholded = risks[1] < risks[0]

    aggregate = Aggregate(opponent, PATCH)
    for part in tiles:
        table = patch_table(opponent, PATCH, part)  # (B, C, 64)
        rows = table[:, 0] * scale
        best, joint = filters.classes(rows)
        (mixed, _), (cut_off, _) = filters(rows, best, joint)
        estimate = table.clone()
        estimate[:, 0] = torch.where(thresholded[best][:, None], cut_off, mixed) / scale
        for channel in range(1, len(opponent)):
            chroma = table[:, channel]
            mean = chroma.mean(1, keepdim=True)
            estimate[:, channel] = mean + filters.shrunk(chroma - mean, best, sigma)[0]
        aggregate.add(part, estimate, table.new_ones(len(table), 1))
        counter.step()
    return from_opponent(aggregate.result()).to(image.dtype)


def _batches(grey: Tensor, tiles: list[Tile]) -> Iterator[Tensor]:
    """Yield the patches of each tile as rows, (B, 64)."""
    return (patch_table(grey, PATCH, part)[:, 0] for part in tiles)


def stein(noisy: Tensor, estimate: Tensor, freedom: Tensor, variance: float) -> Tensor:
    """Return Stein's unbiased estimate of the squared error per pixel: ‖x̂ − y‖²/n − s²(1 − 2·tr/n), (B, n) → (B,)."""
    n = noisy.shape[1]
    return (estimate - noisy).square().sum(1) / n - variance * (1 - 2 * freedom / n)


class _Filters:
    """The two estimates of grey patches under a mixture, each with the trace of its derivative."""

    def __init__(self, mixture: Mixture, options: SPleOptions) -> None:
        values, vectors = mixture.spectrum
        self._mixture = mixture
        self._options = options
        self._means = mixture.means.float()
        self._vectors = vectors.float()
        gains = values / (values + mixture.variance)
        self._traces = gains.sum(1).float()
        self._wiener = ((vectors * gains[:, None]) @ vectors.mT).float()

    def classes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most likely class of patches, (B, 64) → (B,), and the log-probabilities of all, (B, K)."""
        joint = self._mixture.log_joint(rows).log_softmax(1)
        return joint.argmax(1), joint

    def __call__(
        self, rows: Tensor, best: Tensor, joint: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the mixed Wiener estimates and the thresholded ones, each (B, 64) with its trace, (B,)."""
        means = self._means[best]
        estimate, freedom = self.shrunk(rows - means, best, math.sqrt(self._mixture.variance))
        return self._mixed(rows, joint), (means + estimate, freedom)

    def _mixed(self, rows: Tensor, joint: Tensor) -> tuple[Tensor, Tensor]:
        probability = joint.exp()
        probability *= probability > self._options.negligible
        probability /= probability.sum(1, keepdim=True)
        estimate = torch.zeros_like(rows)
        for k, (mean, matrix) in enumerate(zip(self._means, self._wiener, strict=True)):
            members = probability[:, k].nonzero()[:, 0]
            share = probability[members, k, None]
            estimate.index_add_(0, members, (mean + (rows[members] - mean) @ matrix).mul_(share))
        return estimate, probability @ self._traces

    def shrunk(self, rows: Tensor, best: Tensor, spread: float) -> tuple[Tensor, Tensor]:
        """Return centred patches without small coefficients in their class's basis, and how many are kept, (B,)."""
        estimate, freedom = torch.zeros_like(rows), rows.new_zeros(len(rows))
        for k, size in enumerate(self._mixture.sizes):
            members = (best == k).nonzero()[:, 0]
            basis = self._vectors[k, :, :size]
            coefficients = rows[members] @ basis
            kept = coefficients.abs() >= self._options.threshold * spread * math.sqrt(2 * math.log(size))
            estimate[members] = (coefficients * kept) @ basis.T
            freedom[members] = kept.sum(1).to(freedom)
        return estimate, freedom
