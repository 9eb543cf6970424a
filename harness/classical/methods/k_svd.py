"""K-SVD: patches as sums of few atoms of a dictionary that is learnt from the noisy image itself.

M. Elad, M. Aharon: "Image Denoising Via Sparse and Redundant Representations Over Learned Dictionaries", IEEE Trans.
Image Processing 15(12), 2006; for colour J. Mairal, M. Elad, G. Sapiro: "Sparse Representation for Color Image
Restoration", IEEE Trans. Image Processing 17(1), 2008; constants as in M. Lebrun, A. Leclaire: "An Implementation and
Detailed Analysis of the K-SVD Image Denoising Algorithm", Image Processing On Line 2, 2012. Deviations: each
iteration sees other patches (0.2 dB better than the same ones, at no cost), the last one at most `last` patches instead
of all, and all are coded again after it, so that memory is bounded; the rank-1 approximations are power iterations; a
patch that loses more by its code than noise stays as it is; every patch has at least one atom, or dark areas would
become black; a small image has fewer atoms.
"""

import math

import torch
from torch import Tensor

from harness.classical.images import (
    Progress,
    StepCounter,
    checked_image,
    checked_options,
    checked_seed,
    checked_sigma,
    checked_tile,
    in_float32,
)
from harness.classical.omp import omp
from harness.classical.options import KSvdOptions
from harness.classical.patches import Aggregate, patch_table
from harness.classical.tiles import cut

_CHUNK = 2048  # patches coded at once: 50 MB
_PER_ATOM = 12  # training patches, if the image has as many: from fewer an atom learns their noise


@in_float32
@torch.no_grad()
def k_svd(
    image: Tensor,
    sigma: float,
    options: KSvdOptions | None = None,
    *,
    seed: int = 0,
    tile: int = 96,
    progress: Progress | None = None,
) -> Tensor:
    """Return an estimate of an image without its white Gaussian noise, by K-SVD.

    Args:
        image: (3, H, W) RGB or (1, H, W) grey, floating point on 0…255, neither clipped nor rounded; at least 16×16.
        sigma: standard deviation of the noise in each channel, on the same scale.
        options: the method's constants.
        seed: of the patches that the dictionary starts with.
        tile: side in pixels of the squares whose patches are coded one after another, once the dictionary is learnt;
            memory grows with its square. The result depends on it by rounding only.
        progress: called with (steps done, steps in all): the iterations, then the tiles.

    Returns:
        The estimate, of the image's shape, dtype and device; not clipped.

    Raises:
        TypeError: `image` is not a tensor, or `options` are another method's.
        ValueError: wrong shape, dtype or size, NaN, sigma not above 0, or an image on 0…1 with a sigma that is not.
    """
    noisy = checked_image(image, "k_svd")
    sigma, tile, options = (
        checked_sigma(sigma, noisy, "k_svd"),
        checked_tile(tile, "k_svd"),
        checked_options(options, KSvdOptions, "k_svd"),
    )
    seed = checked_seed(seed, "k_svd")
    channels, height, width = noisy.shape
    patch = options.patch or (5 if sigma <= 20 else 7 if sigma <= 60 else 9)
    coder = _Coder(channels, patch, sigma, options)
    tiles = cut(height, width, patch, 1, 0, tile)
    counter = StepCounter(progress, options.iterations + 1 + len(tiles))

    every = options.every or (32 if sigma <= 10 else 16 if sigma <= 40 else 8)
    patches = (height - patch + 1) * (width - patch + 1)
    every = min(every, max(patches // (_PER_ATOM * options.atoms), 1))
    every = max(every, math.ceil(patches / options.training))
    signals = some_patches(noisy, patch, 0, every)
    count = min(options.atoms, max(len(signals) // _PER_ATOM, 1))
    generator = torch.Generator().manual_seed(seed)
    start = torch.randperm(len(signals), generator=generator)[:count]
    atoms = _normalised(signals[start.to(signals.device)])
    for iteration in range(options.iterations + 1):
        if iteration == options.iterations:
            every = math.ceil(patches / options.last)
        signals = some_patches(noisy, patch, iteration % every, every)
        update(signals, atoms, coder(signals, atoms)[0])
        counter.step()

    aggregate = Aggregate(noisy, patch)
    for part in tiles:
        rows = patch_table(noisy, patch, part).flatten(1)
        codes, usable = coder(rows, atoms)
        estimates = torch.where(usable[:, None], codes @ atoms, rows)
        aggregate.add(part, estimates.view(len(rows), channels, -1), rows.new_ones(len(rows), 1))
        counter.step()
    distance = (aggregate.result() - noisy).square().mean().sqrt().item() / sigma
    return aggregate.blended(noisy, abs(distance - 1)).to(image.dtype)


def some_patches(image: Tensor, patch: int, first: int, every: int) -> Tensor:
    """Return every `every`-th patch of an image, row by row, from the `first` on: (B, C·k²)."""
    windows = image.unfold(1, patch, 1).unfold(2, patch, 1)
    rows, columns = windows.shape[1:3]
    place = torch.arange(first, rows * columns, every, device=image.device)
    return windows[:, place // columns, place % columns].transpose(0, 1).flatten(1)


def _normalised(atoms: Tensor) -> Tensor:
    """Return atoms of norm 1; one that is 0 becomes constant."""
    length = torch.linalg.vector_norm(atoms, dim=1, keepdim=True)
    return torch.where(length > 0, atoms / length, atoms.shape[1] ** -0.5)


class _Coder:
    """Codes patches until what is left may be noise, in Mairal's metric: |x|² + γ·k²·Σ (mean of a channel)²."""

    def __init__(self, channels: int, patch: int, sigma: float, options: KSvdOptions) -> None:
        n = channels * patch**2
        self.error = n * sigma**2 * noise_bound(n, options.confidence)
        self._most = options.most
        self._channels = channels
        self._gain = math.sqrt(1 + options.gamma) - 1 if channels == 3 else 0.0

    def __call__(self, signals: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coefficients of signals (B, n) for atoms (K, n), (B, K), and which lose less than noise, (B,)."""
        warped = self._warped(atoms)
        length = torch.linalg.vector_norm(warped, dim=1)
        warped /= length[:, None]
        codes = [
            omp(self._warped(signals[start : start + _CHUNK]), warped, self.error, self._most)
            for start in range(0, len(signals), _CHUNK)
        ]
        values = torch.cat([part.dense(len(atoms)) for part in codes]).div_(length)
        return values, torch.cat([part.error for part in codes]) <= 2 * self.error

    def _warped(self, x: Tensor) -> Tensor:
        """Return x times M = I + a·11ᵀ of each channel, a = (√(1 + γ) − 1)/k²: (B, n) → (B, n)."""
        maps = x.view(len(x), self._channels, -1)
        return (maps + self._gain * maps.mean(2, keepdim=True)).flatten(1)


def noise_bound(n: int, confidence: float) -> float:
    """Return χ²/n, which the energy of n values of noise, over nσ², does not exceed with this probability.

    By Wilson and Hilferty's approximation, within 0.1 % for n ≥ 20.
    """
    z = float(torch.special.ndtri(torch.tensor(confidence, dtype=torch.float64)))
    return (1 - 2 / (9 * n) + z * math.sqrt(2 / (9 * n))) ** 3


def update(signals: Tensor, atoms: Tensor, codes: Tensor, powers: int = 3) -> None:
    """Improve atoms and codes in place, one atom after another, such that the error never grows.

    With E what the other atoms leave of the signals that use an atom, the atom and its coefficients become the best
    rank-1 approximation of E, by power iterations from the old ones. An atom that nobody uses becomes the signal that
    is coded worst, and no signal twice.

    Args:
        signals: (B, n).
        atoms: (K, n), of norm 1.
        codes: (B, K).
        powers: iterations per atom.
    """
    left = signals - codes @ atoms
    error = left.square().sum(1)
    columns = codes.T.contiguous()
    for atom, column in zip(atoms, columns, strict=True):
        users = column.nonzero()[:, 0]
        if not len(users):
            worst = error.argmax()
            error[worst] = 0
            atom.copy_(_normalised(signals[worst][None])[0])
            continue
        values = column[users]
        errors = torch.addr(left[users], values, atom)  # E, (users, n)
        new = atom
        for _ in range(powers):
            new = values @ errors
            new = new / torch.linalg.vector_norm(new).clamp(min=1e-20)
            values = errors @ new
        atom.copy_(new)
        column[users] = values
        left[users] = torch.addr(errors, values, new, alpha=-1)
    codes.copy_(columns.T)
