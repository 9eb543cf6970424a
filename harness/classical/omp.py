"""Orthogonal matching pursuit for many signals at once.

Y. C. Pati, R. Rezaiifar, P. S. Krishnaprasad: "Orthogonal Matching Pursuit", Asilomar 1993. The chosen atoms of each
signal are made orthonormal one after another (a QR decomposition that grows by a column), which gives in each step what
solving the normal equations again would; the coefficients follow from one triangular system at the end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_DEPENDENT = 1e-3  # distance of an atom from those chosen before, below which it adds rounding errors alone


@dataclass(frozen=True)
class Codes:
    """Signals as sums of few atoms.

    Attributes:
        support: (B, S) int64, the atoms of each signal in the order of their choice; 0 if there are fewer.
        values: (B, S), their coefficients; 0 if there are fewer.
        error: (B,), the squared norm of what is left.
    """

    support: Tensor
    values: Tensor
    error: Tensor

    def dense(self, atoms: int) -> Tensor:
        """Return the coefficients of all atoms, (B, atoms)."""
        result = self.values.new_zeros(len(self.values), atoms)
        return result.scatter_add_(1, self.support, self.values)


def omp(signals: Tensor, atoms: Tensor, error: float, most: int) -> Codes:
    """Return codes whose squared error is at most `error`, with no more than `most` atoms each, and at least one.

    Args:
        signals: (B, n).
        atoms: (K, n), each of norm 1.
        error: the squared error at which a signal is done.
        most: S, the most atoms of a signal; one that has as many is done, whatever its error.
    """
    most = min(most, *atoms.shape)
    count, n = signals.shape
    support = torch.zeros(count, most, dtype=torch.int64, device=signals.device)
    triangle = torch.eye(most).to(signals).repeat(count, 1, 1)  # R of the chosen atoms' QR decomposition
    projected = signals.new_zeros(count, most, 1)  # Qᵀy
    errors = signals.square().sum(1)

    active = errors.nonzero()[:, 0]  # A of the B signals; one that is 0 needs no atom
    left = signals[active]
    chosen = torch.zeros(len(active), len(atoms), dtype=torch.bool, device=signals.device)
    basis = signals.new_empty(len(active), 0, n)  # Qᵀ
    used = 0
    while used < most and len(active):
        atom = (left @ atoms.T).abs_().masked_fill_(chosen, -1).argmax(1)
        chosen.scatter_(1, atom[:, None], value=True)
        new = atoms[atom][:, None]  # (A, 1, n)
        products = new @ basis.mT  # (A, 1, used)
        new = new - products @ basis
        length = torch.linalg.vector_norm(new, dim=2, keepdim=True)
        usable = (length > _DEPENDENT).flatten()
        length = length.clamp(min=_DEPENDENT)
        new /= length
        part = (new @ left[:, :, None]) * usable[:, None, None]  # (A, 1, 1)
        left -= (part * new)[:, 0]

        support[active, used] = atom
        triangle[active, :used, used] = products[:, 0]
        triangle[active, used, used] = length.flatten()
        projected[active, used] = part[:, 0]
        remaining = left.square().sum(1)
        errors[active] = remaining
        used += 1
        going_on = (usable & (remaining > error)).nonzero()[:, 0]
        active, left, chosen = active[going_on], left[going_on], chosen[going_on]
        basis = torch.cat([basis[going_on], new[going_on]], 1)
    values = torch.linalg.solve_triangular(triangle[:, :used, :used], projected[:, :used], upper=True)[:, :, 0]
    return Codes(support[:, :used], values, errors)
