"""NL-Bayes: similar patches as samples of a Gaussian, whose mean and covariance give the Bayes estimate of each.

M. Lebrun, A. Buades, J.-M. Morel: "A Nonlocal Bayesian Image Denoising Algorithm", SIAM J. Imaging Sciences 6(3), 2013;
constants, which are others for grey images, and colour as in their "Implementation of the Non-Local Bayes (NL-Bayes)
Image Denoising Algorithm", Image Processing On Line 3, 2013, and in its code. Deviations: references lie on a grid,
k₁ − 2 and k₂ − 1 pixels apart, instead of every pixel that no earlier group has covered, because groups are computed at
once; the second step keeps at most 4N₂ patches; the window is never wider than 37 pixels.
"""

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
from harness.classical.matching import Matcher
from harness.classical.opponent import from_opponent, to_opponent
from harness.classical.options import NlBayesOptions
from harness.classical.patches import Aggregate, add_rows, patch_table
from harness.classical.tiles import Tile, cut


@dataclass(frozen=True)
class _Step:
    """The constants of one of the two steps, for a σ."""

    patch: int
    similar: int
    beta: float
    radius: int
    stride: int


@in_float32
@torch.no_grad()
def nl_bayes(
    image: Tensor,
    sigma: float,
    options: NlBayesOptions | None = None,
    *,
    tile: int = 48,
    progress: Progress | None = None,
) -> Tensor:
    """Return an estimate of an image without its white Gaussian noise, by NL-Bayes.

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
        TypeError: `image` is not a tensor, or `options` are another method's.
        ValueError: wrong shape, dtype or size, NaN, sigma not above 0, an image on 0…1 with a sigma that is not, or
            options by which a group of the first step is too small for its covariance.
    """
    noisy = checked_image(image, "nl_bayes")
    sigma, tile, options = (
        checked_sigma(sigma, noisy, "nl_bayes"),
        checked_tile(tile, "nl_bayes"),
        checked_options(options, NlBayesOptions, "nl_bayes"),
    )
    first, second = _steps(sigma, options, len(noisy))
    height, width = noisy.shape[1:]
    tiles = [cut(height, width, step.patch, step.stride, step.radius, tile) for step in (first, second)]
    counter = StepCounter(progress, len(tiles[0]) + len(tiles[1]))

    opponent = to_opponent(noisy)
    aggregate = Aggregate(noisy, first.patch)
    match = Matcher(opponent[:1], first.patch, first.radius, first.similar)
    for part in tiles[0]:
        matches = match(part)
        table = patch_table(opponent, first.patch, part)
        group = torch.stack([channel[matches.index] for channel in table.unbind(1)], 1)  # (R, C, N, k²)
        estimate = first_estimate(group, matches.inside, first.beta * sigma**2, options.flat * sigma**2)
        _add(aggregate, part, matches.index, estimate.transpose(1, 2), matches.inside)
        counter.step()
    basic = from_opponent(aggregate.result())

    aggregate = Aggregate(noisy, second.patch)
    match = Matcher(basic, second.patch, second.radius, 4 * second.similar)
    near = options.near * second.patch**2 * len(noisy) / 3
    for part in tiles[1]:
        matches = match(part)
        last = matches.distance[:, min(second.similar, matches.distance.shape[1]) - 1, None]
        kept = matches.inside & (matches.distance <= last.clamp(min=near))
        group = patch_table(noisy, second.patch, part)[matches.index]  # (R, N, C, k²)
        pilot = patch_table(basic, second.patch, part)[matches.index]
        estimate = second_estimate(group, pilot, kept, second.beta * sigma**2, options.flat * sigma**2)
        _add(aggregate, part, matches.index, estimate, kept)
        counter.step()
    return aggregate.result().to(image.dtype)


def _steps(sigma: float, options: NlBayesOptions, channels: int) -> tuple[_Step, _Step]:
    """Return the steps' constants: those of the options, the others as published for σ and grey or colour."""
    (k1, n1, beta1), (k2, n2, beta2) = _published_for_grey(sigma) if channels == 1 else _published_for_colour(sigma)
    if options.patch is not None:
        k1, n1 = options.patch, 3 * options.patch**2
    if options.second_patch is not None:
        k2, n2 = options.second_patch, 3 * options.second_patch**2
    n1, n2 = options.similar or n1, options.second_similar or n2
    radius = _radius(n1, options.window)
    fewest = min(n1, (radius + 1) ** 2)  # in a corner of the image
    if fewest <= k1**2:
        raise ValueError(
            f"nl_bayes: similar={n1} and window={options.window} give groups of {fewest} patches, of which there must "
            f"be more than a patch of {k1}×{k1} has pixels: raise them, or lower patch"
        )
    return (
        _Step(k1, n1, options.beta or beta1, radius, max(k1 - 2, 1)),
        _Step(k2, n2, options.second_beta or beta2, _radius(n2, options.window), k2 - 1),
    )


_Published = tuple[int, int, float]
"""k, N and β of a step."""


def _published_for_colour(sigma: float) -> tuple[_Published, _Published]:
    k1 = 3 if sigma < 20 else 5 if sigma < 50 else 7
    k2 = 3 if sigma < 50 else 5 if sigma < 70 else 7
    return (k1, 3 * k1**2, 1.0), (k2, 3 * k2**2, 1.2 if sigma < 50 else 1.0)


def _published_for_grey(sigma: float) -> tuple[_Published, _Published]:
    n1 = 35 if sigma < 10 else 45 if sigma < 30 else 90 if sigma < 80 else 100
    n2 = 15 if sigma < 20 else 25 if sigma < 40 else 30 if sigma < 80 else 45
    beta1 = 1.1 if sigma < 15 else 1.0 if sigma < 70 else 0.9
    beta2 = 1.1 if sigma < 15 else 1.0 if sigma < 35 else 0.9
    return (5 if sigma < 30 else 7, n1, beta1), (5, n2, beta2)


def _radius(similar: int, widest: int) -> int:
    """Return the radius of a window of N/2 places per side, made odd."""
    return min(similar // 2 // 2, widest // 2)


def _add(aggregate: Aggregate, tile: Tile, index: Tensor, estimate: Tensor, kept: Tensor) -> None:
    """Add the kept ones (R, N) of estimates (R, N, C, k²), each with the weight 1."""
    rows = estimate.flatten(0, 1)
    if not kept.all():
        rows = rows * kept.reshape(-1, 1, 1)
    sums = rows.new_zeros(tile.height * tile.width, *rows.shape[1:])
    add_rows(sums, index.flatten(), rows)
    count = rows.new_zeros(len(sums), 1)
    add_rows(count, index.flatten(), kept.reshape(-1, 1).to(rows))
    aggregate.add(tile, sums, count)


def first_estimate(group: Tensor, kept: Tensor, variance: float, flat: float) -> Tensor:
    """Return the estimates of the first step, x̂ = ȳ + (C − βσ²I) C⁻¹ (y − ȳ), each channel by itself.

    Args:
        group: noisy patches, (R, C, N, k²).
        kept: (R, N) bool, which of them belong to the group.
        variance: βσ².
        flat: γσ²; a group whose mean variance per channel is below becomes its mean.

    Returns:
        (R, C, N, k²); a group without a usable covariance stays as it is.
    """
    weights = kept[:, None, None].to(group)  # (R, 1, 1, N)
    count = weights.sum(3, keepdim=True)
    mean = ((group.mean(3, keepdim=True).mT @ weights.mT) / count).mT  # (R, C, 1, 1)
    textured = _pixel_variance(group, mean, weights.mT[..., 0], 2) >= flat
    result = mean.expand_as(group).contiguous()
    group, weights, count = group[textured], weights[textured], count[textured]
    deviation = group - weights @ group / count
    covariance = _scatter(deviation, weights.mT) / (count - 1).clamp_(min=1)
    inverse = _inverse(covariance, 0.05 * variance)
    flattened = [part.flatten(0, 1) for part in (group, deviation, inverse)]
    result[textured] = torch.baddbmm(*flattened, alpha=-variance).view(group.shape)
    return result


def second_estimate(group: Tensor, pilot: Tensor, kept: Tensor, variance: float, flat: float) -> Tensor:
    """Return the estimates of the second step, x̂ = ȳ + C_b (C_b + βσ²I)⁻¹ (y − ȳ), all channels at once.

    Args:
        group: noisy patches, (R, N, C, k²).
        pilot: the same patches of the first step's estimate; C_b is their covariance.
        kept: (R, N) bool, which of them belong to the group.
        variance: βσ².
        flat: γσ²; a group whose mean variance per channel is below becomes the mean of the pilot.

    Returns:
        (R, N, C, k²).
    """
    shape = group.shape
    weights = kept[:, None].to(group)  # (R, 1, N)
    count = weights.sum(2, keepdim=True)  # (R, 1, 1)
    mean, pilot_mean = (
        ((weights @ part.mean(3)) / count).unsqueeze(3) for part in (group, pilot)
    )  # (R, 1, C, 1), each channel's mean
    textured = _pixel_variance(group, mean, weights.mT, 1) >= flat
    result = pilot_mean.expand(shape).contiguous()
    weights, count = weights[textured], count[textured]
    group, pilot = group[textured].flatten(2), pilot[textured].flatten(2)  # (T, N, C·k²)
    covariance = _scatter(pilot - weights @ pilot / count, weights.mT) / (count - 1).clamp_(min=1)
    covariance.diagonal(dim1=1, dim2=2).add_(variance)
    deviation = group - weights @ group / count
    estimate = torch.baddbmm(group, deviation, _inverse(covariance, 0.5 * variance), alpha=-variance)
    result[textured] = estimate.view(-1, *shape[1:])
    return result


def _pixel_variance(group: Tensor, mean: Tensor, weights: Tensor, patches: int) -> Tensor:
    """Return the variance of all pixels of groups by channel, its mean over channels: (R, …, k²) → (R,).

    Args:
        group: (R, C, N, k²) or (R, N, C, k²).
        mean: of each channel's pixels.
        weights: (R, 1, N) or (R, N, 1), 1 for the patches that count.
        patches: the dimension of N.
    """
    squares = torch.linalg.vector_norm(group - mean, dim=3).square_() * weights
    pixels = weights.sum(patches, keepdim=True) * group.shape[3]
    variance: Tensor = squares.sum(patches, keepdim=True) / (pixels - 1)
    return variance.mean((1, 2))


def _scatter(deviation: Tensor, weights: Tensor) -> Tensor:
    """Return Σ w·x·xᵀ of the rows of (…, N, n), with weights (…, N, 1) that are 0 or 1."""
    weighted = deviation if bool((weights == 1).all()) else deviation * weights
    return weighted.mT @ deviation


def _inverse(covariance: Tensor, floor: float) -> Tensor:
    """Return inverses of covariances (…, n, n); 0 for one with a pivot below `floor`, so that its patches stay.

    Rounding alone can make such a pivot, if there is less noise than said or the variances are far apart.
    """
    factor, info = torch.linalg.cholesky_ex(covariance)
    pivots = factor.diagonal(dim1=-2, dim2=-1).square()
    usable = (info == 0) & (pivots >= floor).all(-1)
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    inverse = torch.cholesky_inverse(torch.where(usable[..., None, None], factor, eye))
    return inverse.mul_(usable[..., None, None])
