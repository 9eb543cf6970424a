"""The fixed transforms of BM3D as small matrices: a row is a basis function, `matrix @ signal` are its coefficients."""

import math

import torch
from torch import Tensor

_A, _B, _C, _D, _E = 0.219417649252501, 0.449283757993216, 0.569359398342846, 0.402347308162278, 0.083506045090284
_H = 2**-0.5
_BIORTHOGONAL = (
    (0.125**0.5,) * 8,
    (_A, _B, _B, _A, -_A, -_B, -_B, -_A),
    (_C, _D, -_D, -_C, -_E, _E, -_E, _E),
    (-_E, _E, -_E, _E, _C, _D, -_D, -_C),
    (_H, -_H, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, _H, -_H, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, _H, -_H, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, _H, -_H),
)


def biorthogonal() -> Tensor:
    """Return the whole periodic bior1.5 decomposition of 8 samples, rows of norm 1, (8, 8) float64; not orthogonal."""
    return torch.tensor(_BIORTHOGONAL, dtype=torch.float64)


def cosine(size: int) -> Tensor:
    """Return the orthonormal DCT-II, (size, size) float64."""
    k = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * k[:, None] * (k + 0.5)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def haar(size: int) -> Tensor:
    """Return the orthonormal Haar transform of a power of two, (size, size) float64. Raises ValueError for others."""
    if size < 1 or size & (size - 1):
        raise ValueError(f"Haar's transform needs a power of two, not {size}")
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < size:
        eye = torch.eye(len(matrix), dtype=torch.float64)
        sums = torch.kron(matrix, torch.tensor([[1.0, 1.0]], dtype=torch.float64))
        differences = torch.kron(eye, torch.tensor([[1.0, -1.0]], dtype=torch.float64))
        matrix = torch.cat([sums, differences]) / math.sqrt(2)
    return matrix


def separable(matrix: Tensor) -> Tensor:
    """Return the two-dimensional transform of k×k patches written as rows of k² values: (k, k) → (k², k²)."""
    return torch.kron(matrix, matrix)


def kaiser(size: int, beta: float) -> Tensor:
    """Return the outer product of two Kaiser windows, (size, size) float64."""
    window = torch.kaiser_window(size, periodic=False, beta=beta, dtype=torch.float64)
    return torch.outer(window, window)
