"""BM3D and CBM3D: block matching and collaborative filtering in three dimensions.

K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian: "Image Denoising by Sparse 3-D Transform-Domain Collaborative
Filtering", IEEE Trans. Image Processing 16(8), 2007; its section V is the colour method. Constants are those of its
Table I, "normal profile". Deviations: patches are matched by pixels for every σ (the paper filters them first for
σ > 40), groups always have N patches, the nearest (the paper also bounds their distance), and the colours are
transformed orthonormally.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.classical import transforms
from harness.classical.images import SMALLEST, Progress, StepCounter, checked_image, checked_sigma, checked_tile
from harness.classical.matching import Matcher
from harness.classical.opponent import from_opponent, to_opponent
from harness.classical.patches import Aggregate, add_rows, patch_table
from harness.classical.tiles import Tile, cut

_PATCH = 8


@dataclass(frozen=True)
class Bm3dOptions:
    """The constants of BM3D; as published (normal profile) unless changed.

    Attributes:
        threshold: λ₃D: in the first step coefficients below λσ become 0.
        wiener: factor of σ² in the second step's shrinkage b²/(b² + wiener·σ²).
        stride: pixels between reference patches.
        window: side of the search window, odd.
        group, wiener_group: N, patches per group in the first and second step; powers of two.
        beta: of the Kaiser window.

    Raises:
        ValueError: a value that the method cannot use.
    """

    threshold: float = 2.7
    wiener: float = 1.0
    stride: int = 3
    window: int = 39
    group: int = 16
    wiener_group: int = 32
    beta: float = 2.0

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and self.wiener > 0 and self.beta >= 0):
            raise ValueError("bm3d: threshold and wiener must be above 0, and beta not below 0")
        if not 1 <= self.stride <= _PATCH:
            raise ValueError(f"bm3d: stride is {self.stride}; give 1 to {_PATCH}, so that patches cover the image")
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"bm3d: window is {self.window}; give an odd number")
        corner = min(self.window // 2 + 1, SMALLEST - _PATCH + 1) ** 2  # places in the window of an image's corner
        for size in (self.group, self.wiener_group):
            if size < 1 or size & (size - 1) or size > corner:
                raise ValueError(f"bm3d: a group of {size} patches; give a power of two of at most {corner}")


@torch.no_grad()
def bm3d(
    image: Tensor,
    sigma: float,
    options: Bm3dOptions | None = None,
    *,
    tile: int = 96,
    progress: Progress | None = None,
) -> Tensor:
    """Return an estimate of an image without its white Gaussian noise, by BM3D (grey) or CBM3D (colour).

    Args:
        image: (3, H, W) RGB or (1, H, W) grey, floating point on 0…255, neither clipped nor rounded; at least 16×16.
        sigma: standard deviation of the noise in each channel, on the same scale.
        options: the method's constants; as published if None.
        tile: side in pixels of the squares that are worked on one after another; memory grows with its square. The
            result depends on it by rounding only.
        progress: called with (tiles done, tiles in all).

    Returns:
        The estimate, of the image's shape, dtype and device; not clipped.

    Raises:
        TypeError: `image` is not a tensor.
        ValueError: wrong shape, dtype or size, NaN, or sigma not above 0.
    """
    noisy = to_opponent(checked_image(image, "bm3d"))
    sigma, tile, options = checked_sigma(sigma, "bm3d"), checked_tile(tile, "bm3d"), options or Bm3dOptions()
    height, width = noisy.shape[1:]
    tiles = cut(height, width, _PATCH, options.stride, options.window // 2, tile)
    window = transforms.kaiser(_PATCH, options.beta)

    counter = StepCounter(progress, 2 * len(tiles))

    basic = _filter(noisy, _HardThreshold(noisy, sigma, options), tiles, window, counter)
    final = _filter(noisy, _Wiener(noisy, basic, sigma, options), tiles, window, counter)
    return from_opponent(final).to(image.dtype)


class _HardThreshold:
    """The first step: groups are made sparse (section III-B)."""

    def __init__(self, noisy: Tensor, sigma: float, options: Bm3dOptions) -> None:
        self._limit = options.threshold * sigma
        self._match = Matcher(noisy[:1], _PATCH, options.window // 2, options.group)
        self._noisy = noisy
        transform = transforms.separable(transforms.biorthogonal())
        self._forward = transform.to(noisy)
        self.inverse = torch.linalg.inv(transform).to(noisy)
        self._haar = transforms.haar(options.group).to(noisy)

    def __call__(self, tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
        """Return places (R, N), coefficients of filtered patches (R, N, C, 64), and weights of groups (R, C)."""
        index = self._match(tile).index
        table = patch_table(self._noisy, _PATCH, tile) @ self._forward.T
        group = across(self._haar, table[index])
        kept = group.abs() >= self._limit
        weights = 1 / kept.sum((1, 3)).clamp_(min=1).to(group)  # Eq. (10)
        return index, across(self._haar.T, group.mul_(kept)), weights


class _Wiener:
    """The second step: groups are shrunk as the basic estimate says (section III-C)."""

    def __init__(self, noisy: Tensor, basic: Tensor, sigma: float, options: Bm3dOptions) -> None:
        self._variance = options.wiener * sigma**2
        self._match = Matcher(basic[:1], _PATCH, options.window // 2, options.wiener_group)
        self._noisy, self._basic = noisy, basic
        transform = transforms.separable(transforms.cosine(_PATCH)).to(noisy)
        self._forward, self.inverse = transform, transform.T
        self._haar = transforms.haar(options.wiener_group).to(noisy)

    def __call__(self, tile: Tile) -> tuple[Tensor, Tensor, Tensor]:
        index = self._match(tile).index
        power = across(self._haar, (patch_table(self._basic, _PATCH, tile) @ self._forward.T)[index]).square_()
        gain = power.div_(power + self._variance)  # Eq. (8)
        group = across(self._haar, (patch_table(self._noisy, _PATCH, tile) @ self._forward.T)[index]).mul_(gain)
        weights = 1 / gain.square_().sum((1, 3)).clamp_(min=1e-6)  # Eq. (11)
        return index, across(self._haar.T, group), weights


def across(matrix: Tensor, group: Tensor) -> Tensor:
    """Transform a group across its patches: (R, N, C, k²) → (R, N, C, k²)."""
    return torch.matmul(matrix, group.flatten(2)).view(group.shape)


def _filter(
    noisy: Tensor, step: _HardThreshold | _Wiener, tiles: list[Tile], window: Tensor, counter: StepCounter
) -> Tensor:
    """Filter the groups of all tiles and average the estimates, section III-D: (C, H, W) → (C, H, W)."""
    aggregate = Aggregate(noisy, _PATCH)
    for tile in tiles:
        index, patches, weights = step(tile)
        size, channels, pixels = index.shape[1], *patches.shape[2:]
        # Still coefficients: the inverse transform is linear, so one per place is enough, after the sum.
        sums = noisy.new_zeros(tile.height * tile.width, channels, pixels)
        add_rows(sums, index.flatten(), patches.mul_(weights[:, None, :, None]).flatten(0, 1))
        total = noisy.new_zeros(tile.height * tile.width, channels)
        add_rows(total, index.flatten(), weights.repeat_interleave(size, 0))
        aggregate.add(tile, sums @ step.inverse.T, total, window)
        counter.step()
    return aggregate.result()
