"""The orthonormal opponent transform: one luminance and two chrominances, each with the noise of the RGB channels.

Y = (R + G + B)/√3, U = (R − B)/√2, V = (R − 2G + B)/√6. Being orthonormal, it keeps white noise white and σ as it is.
"""

import torch
from torch import Tensor

MATRIX = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, 0.0, -(2**-0.5)),
    (6**-0.5, -2 * 6**-0.5, 6**-0.5),
)


def to_opponent(image: Tensor) -> Tensor:
    """Return (Y, U, V) of an RGB image, (3, H, W) → (3, H, W); a grey image, (1, H, W), as it is."""
    return image if len(image) == 1 else torch.einsum("oc,chw->ohw", image.new_tensor(MATRIX), image)


def from_opponent(image: Tensor) -> Tensor:
    """Return RGB of (Y, U, V): the inverse of `to_opponent`."""
    return image if len(image) == 1 else torch.einsum("oc,ohw->chw", image.new_tensor(MATRIX), image)
