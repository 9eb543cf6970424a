"""Where S-PLE starts: Gaussians of clean grey patches by their orientation, and how the stored ones were made.

    python -m harness.classical.methods.s_ple_start FILE.npz

makes them again from three photographs that scikit-learn and matplotlib bring along (china.jpg, flower.jpg and
grace_hopper.jpg), and their mirror images. None is in BSDS500, CBSD68 or Kodak24; grace_hopper.jpg is the test image of
`sample-photos`, where S-PLE has an advantage.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.classical.mixture import Mixture

PATCH = 8
ORIENTATIONS = 18
SIZES = (*(32,) * ORIENTATIONS, PATCH**2 - 1, 1)
"""How many factors the classes have: 18 orientations, then texture, then flat areas."""

_STORED = Path(__file__).with_suffix(".npz")
_COHERENT = 5.0  # λ₁/λ₂ of the structure tensor from which a patch has an orientation
_TEXTURED = 1e4  # λ₁ from which one without is texture
_FEWEST = 5000  # patches of a class; of more, as many are taken at even distances, up to twice as many


def stored_start(variance: float, device: torch.device) -> Mixture:
    """Return the stored Gaussians, with equal shares, in noise of this variance; float64."""
    with np.load(_STORED) as stored:
        means, packed = stored["means"], stored["factors"]
    factors = torch.zeros(len(SIZES), max(SIZES), PATCH**2, dtype=torch.float64)
    factors[torch.arange(max(SIZES)) < torch.tensor(SIZES)[:, None]] = torch.from_numpy(packed).double()
    shares = torch.full((len(SIZES),), 1 / len(SIZES), dtype=torch.float64, device=device)
    return Mixture(shares, torch.from_numpy(means).double().to(device), factors.mT.to(device), SIZES, variance)


def learnt_start(images: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return means (K, 64) and packed factors (Σ sizes, 64) of clean grey images, each (1, H, W) on 0…255, float64.

    Raises:
        ValueError: a class has fewer than 5,000 patches.
    """
    mirrored = [y for x in images for y in (x, x.flip(2), x.mT, x.mT.flip(2))]
    classes = [patch_classes(x) for x in mirrored]
    means: list[Tensor] = []
    factors: list[Tensor] = []
    for k, size in enumerate(SIZES):
        count = sum(int((of_image == k).sum()) for of_image in classes)
        if count < _FEWEST:
            raise ValueError(f"class {k} has {count} patches; give more images, so that it has {_FEWEST:,}")
        members = torch.cat(
            [_members(x, of_image == k, count // _FEWEST) for x, of_image in zip(mirrored, classes, strict=True)]
        )
        means.append(members.mean(0))
        values, vectors = torch.linalg.eigh(torch.cov(members.T))
        values, vectors = values.flip(0), vectors.flip(1)
        factors.append((vectors[:, :size] * (values[:size] - values[size:].mean()).sqrt()).T)
    return torch.stack(means), torch.cat(factors)


def _members(image: Tensor, here: Tensor, every: int) -> Tensor:
    """Return every `every`-th of the patches at the places that a map marks, (rows, columns) → (B, 64) float64."""
    rows, columns = here.nonzero()[::every].unbind(1)
    windows = image[0].unfold(0, PATCH, 1).unfold(1, PATCH, 1)
    return windows[rows, columns].flatten(1).double()


def patch_classes(image: Tensor) -> Tensor:
    """Return the class of the patch at each position of a grey image, (1, H, W) → (H − 7, W − 7) int64."""
    falling, rising = image[:, 1:, 1:] - image[:, :-1, :-1], image[:, :-1, 1:] - image[:, 1:, :-1]
    right, down = (falling + rising) / 2, (falling - rising) / 2  # at the same points, else diagonals are not equal
    products = torch.cat([right * right, right * down, down * down])
    xx, xy, yy = F.avg_pool2d(products[None], PATCH - 1, 1, divisor_override=1)[0]
    root = ((xx - yy).square() / 4 + xy.square()).sqrt()
    largest, smallest = (xx + yy) / 2 + root, (xx + yy) / 2 - root
    angle = torch.atan2(2 * xy, xx - yy) / 2 % math.pi
    oriented = (angle * (ORIENTATIONS / math.pi)).long().clamp(max=ORIENTATIONS - 1)
    other = torch.where(largest < _TEXTURED, ORIENTATIONS + 1, ORIENTATIONS)
    return torch.where(largest > _COHERENT * smallest, oriented, other)


def photographs() -> list[Tensor]:
    """Return three photographs as grey images, (1, H, W) on 0…255."""
    import matplotlib as mpl
    from matplotlib.image import imread
    from sklearn.datasets import load_sample_image

    hopper = imread(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    pictures = [load_sample_image("china.jpg"), load_sample_image("flower.jpg"), hopper]
    return [torch.from_numpy(picture.astype(np.float32)).mean(2)[None] for picture in pictures]


def main(path: str) -> None:
    """Write the Gaussians of the three photographs to a file."""
    means, factors = learnt_start(photographs())
    np.savez_compressed(path, means=means.numpy().astype(np.float32), factors=factors.numpy().astype(np.float16))


if __name__ == "__main__":
    main(sys.argv[1])
