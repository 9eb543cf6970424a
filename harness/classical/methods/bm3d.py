"""BM3D and CBM3D: block matching and collaborative filtering in three dimensions.

K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian: "Image Denoising by Sparse 3-D Transform-Domain Collaborative
Filtering", IEEE Trans. Image Processing 16(8), 2007; its section V is the colour method. Constants are those of its
Table I, "normal profile", for σ ≤ 40, but for the threshold, the Wiener variance and the sizes of groups, which were
chosen on training images (`Bm3dOptions`). Deviations: the constants of σ ≤ 40 are used at every σ, and patches are
matched by pixels (for σ > 40 the paper has other transforms, patches, strides, groups and thresholds, and filters
patches before matching them); groups always have N patches, the nearest (the paper also bounds their distance); and
the colours are transformed orthonormally.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from harness.classical import transforms
from harness.classical.images import (
    Progress,
    StepCounter,
    checked_image,
    checked_options,
    checked_sigma,
    checked_tile,
    in_float32,
)
from harness.classical.matching import Matcher
from harness.classical.opponent import from_opponent, to_opponent
from harness.classical.options import BM3D_PATCH, Bm3dOptions
from harness.classical.patches import Aggregate, add_rows, patch_table
from harness.classical.tiles import Tile, cut

_CACHE_BYTES = 2**21  # of groups that are filtered at a time on a CPU, so that they stay in its cache
_BLOCK, _BLOCK_ON_A_GPU = 64, 96  # side in pixels of the squares of references that are matched at a time


@in_float32
def bm3d(
    image: Tensor,
    sigma: float,
    options: Bm3dOptions | None = None,
    *,
    tile: int = 192,
    progress: Progress | None = None,
) -> Tensor:
    """Return an estimate of an image without its white Gaussian noise, by BM3D (grey) or CBM3D (colour).

    Args:
        image: (3, H, W) RGB or (1, H, W) grey, floating point on 0…255, neither clipped nor rounded; at least 16×16.
        sigma: standard deviation of the noise in each channel, on the same scale.
        options: the method's constants; those of `Bm3dOptions()` if None.
        tile: side in pixels of the squares that are worked on one after another; memory grows with its square,
            with a gradient with the whole image. The result depends on it by rounding only.
        progress: called with (tiles done, tiles in all).

    Returns:
        The estimate, of the image's shape, dtype and device; not clipped. If `image` requires a gradient, so does the
        estimate: that with the groups and the thresholds' decisions held fixed.

    Raises:
        TypeError: `image` is not a tensor, or `options` are another method's.
        ValueError: wrong shape, dtype or size, NaN, sigma not above 0, or an image on 0…1 with a sigma that is not.
    """
    checked = checked_image(image, "bm3d")
    noisy = to_opponent(image.to(torch.float32).contiguous())  # the image itself, for its gradient
    sigma, tile, options = (
        checked_sigma(sigma, checked, "bm3d"),
        checked_tile(tile, "bm3d"),
        checked_options(options, Bm3dOptions, "bm3d"),
    )
    height, width = noisy.shape[1:]
    tiles = cut(height, width, BM3D_PATCH, options.stride, options.window // 2, tile)
    window = transforms.kaiser(BM3D_PATCH, options.beta)

    counter = StepCounter(progress, 2 * len(tiles))

    basic = _filter(noisy, _HardThreshold(noisy, sigma, options), tiles, window, counter)
    final = _filter(noisy, _Wiener(noisy, basic, sigma, options), tiles, window, counter)
    return from_opponent(final).to(image.dtype)


class _HardThreshold:
    """The first step: groups are made sparse (section III-B)."""

    def __init__(self, noisy: Tensor, sigma: float, options: Bm3dOptions) -> None:
        self._limit = options.threshold * sigma
        self.group = options.group
        self.match = Matcher(noisy[:1].detach(), BM3D_PATCH, options.window // 2, self.group)
        self._noisy = noisy
        transform = transforms.separable(transforms.biorthogonal())
        self._forward = transform.to(noisy)
        self.inverse = torch.linalg.inv(transform).to(noisy)

    def tables(self, tile: Tile) -> tuple[Tensor, ...]:
        """Return the coefficients of all patches of a tile's region, (positions, C, 64)."""
        return (patch_table(self._noisy, BM3D_PATCH, tile) @ self._forward.T,)

    def __call__(self, tables: Sequence[Tensor], index: Tensor) -> tuple[Tensor, Tensor]:
        """Return coefficients of filtered patches (R, N, C, 64) and weights of groups (R, C), of groups at (R, N)."""
        (table,) = tables
        bands = [Band(F.hardshrink(band.values, self._limit / band.scale), band.scale) for band in across(table[index])]
        kept = reduce(torch.add, (_summed(band.values.detach().sign().square_()) for band in bands))
        return across_back(bands), 1 / kept.clamp(min=1)  # Eq. (10)


class _Wiener:
    """The second step: groups are shrunk as the basic estimate says (section III-C)."""

    def __init__(self, noisy: Tensor, basic: Tensor, sigma: float, options: Bm3dOptions) -> None:
        self._variance = options.wiener * sigma**2
        self.group = options.wiener_group
        self.match = Matcher(basic[:1].detach(), BM3D_PATCH, options.window // 2, self.group)
        self._noisy, self._basic = noisy, basic
        transform = transforms.separable(transforms.cosine(BM3D_PATCH)).to(noisy)
        self._forward, self.inverse = transform, transform.T

    def tables(self, tile: Tile) -> tuple[Tensor, ...]:
        """Return the coefficients of the noisy patches and of the basic estimate's."""
        return tuple(patch_table(image, BM3D_PATCH, tile) @ self._forward.T for image in (self._noisy, self._basic))

    def __call__(self, tables: Sequence[Tensor], index: Tensor) -> tuple[Tensor, Tensor]:
        noisy, basic = (across(table[index]) for table in tables)
        powers = [band.values.square() for band in basic]
        gains = [p / (p + self._variance / band.scale**2) for p, band in zip(powers, basic, strict=True)]  # Eq. (8)
        total = reduce(torch.add, (_summed(gain.square()) for gain in gains))
        bands = [Band(band.values * gain, band.scale) for band, gain in zip(noisy, gains, strict=True)]
        return across_back(bands), 1 / total.clamp(min=1e-6)  # Eq. (11)


@dataclass(frozen=True)
class Band:
    """Haar coefficients across groups: values (R, n, C, k²), which are orthonormal once multiplied by `scale`."""

    values: Tensor
    scale: float


def haar_order(size: int) -> list[int]:
    """Return the order of patches in which the halves of a group hold what Haar's transform pairs: bits reversed."""
    order = [0]
    while len(order) < size:
        order = [2 * i for i in order] + [2 * i + 1 for i in order]
    return order


def across(group: Tensor) -> list[Band]:
    """Transform groups across their N patches in `haar_order`: (R, N, C, k²) → bands, the finest first."""
    bands, scale = [], 1.0
    while group.shape[1] > 1:
        half = group.shape[1] // 2
        one, other = group[:, :half], group[:, half:]
        scale *= 0.5**0.5
        bands.append(Band(one - other, scale))
        group = one + other
    return [*bands, Band(group, scale)]


def across_back(bands: Sequence[Band]) -> Tensor:
    """Return the groups that have these coefficients: bands → (R, N, C, k²)."""
    group = bands[-1].values * bands[-1].scale ** 2
    for band in reversed(bands[:-1]):
        group = _both(group, band.values, band.scale**2)
    return group


def _both(group: Tensor, fine: Tensor, factor: float) -> Tensor:
    """Return group + factor·fine and, behind it along the patches, group − factor·fine."""
    if group.requires_grad or forward_ad.unpack_dual(group).tangent is not None:  # type: ignore[no-untyped-call]
        return torch.cat((torch.add(group, fine, alpha=factor), torch.sub(group, fine, alpha=factor)), dim=1)
    half = group.shape[1]
    both = group.new_empty(len(group), 2 * half, *group.shape[2:])
    torch.add(group, fine, alpha=factor, out=both[:, :half])
    torch.sub(group, fine, alpha=factor, out=both[:, half:])
    return both


def _summed(band: Tensor) -> Tensor:
    """Return sums over patches and coefficients, (R, n, C, k²) → (R, C): one after the other, which is faster."""
    return band.sum(1).sum(2)


def _filter(
    noisy: Tensor, step: _HardThreshold | _Wiener, tiles: list[Tile], window: Tensor, counter: StepCounter
) -> Tensor:
    """Filter the groups of all tiles and average the estimates, section III-D: (C, H, W) → (C, H, W)."""
    aggregate = Aggregate(noisy, BM3D_PATCH)
    for tile in tiles:
        tables = step.tables(tile)
        # Still coefficients: the inverse transform is linear, so one per place is enough, after the sum.
        sums, total = torch.zeros_like(tables[0]), tables[0].new_zeros(tables[0].shape[:2])
        for block in tile.blocks(_BLOCK_ON_A_GPU if noisy.is_cuda else _BLOCK):
            matches = step.match(block).index[:, haar_order(step.group)]
            for index in torch.split(matches, _groups_at_once(tables[0], step.group)):
                patches, weights = step(tables, index)
                add_rows(sums, index.flatten(), patches.mul_(weights[:, None, :, None]).flatten(0, 1))
                add_rows(total, index.flatten(), weights.repeat_interleave(step.group, 0))
        aggregate.add(tile, sums @ step.inverse.T, total, window)
        counter.step()
    return aggregate.result()


def _groups_at_once(table: Tensor, size: int) -> int:
    """Return how many groups are filtered at a time: on a CPU as many as its cache holds, elsewhere all of a block."""
    return len(table) if table.is_cuda else max(1, _CACHE_BYTES // (size * table[0].nbytes))
