"""A mixture of Gaussians with few factors each, seen through white noise of a known variance, and its EM.

x = μ + F·z + noise with z ~ N(0, I): a class has the covariance FFᵀ + s²I. M. E. Tipping, C. M. Bishop: "Mixtures of
Probabilistic Principal Component Analysers", Neural Computation 11(2), 1999, with the variance of the noise held fixed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-7  # a responsibility that changes no sum


@dataclass(frozen=True)
class Mixture:
    """K classes of vectors of d values.

    Attributes:
        shares: (K,), the probabilities of the classes.
        means: (K, d).
        factors: (K, d, m), F; a class with fewer than m factors has columns of 0, which EM leaves 0.
        sizes: how many factors each class has.
        variance: s², of the noise in each value.
    """

    shares: Tensor
    means: Tensor
    factors: Tensor
    sizes: tuple[int, ...]
    variance: float

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (K, d) of FFᵀ, the largest first, and its eigenvectors as columns, (K, d, d)."""
        values, vectors = torch.linalg.eigh(self.factors @ self.factors.mT)
        return values.flip(1).clamp(min=0), vectors.flip(2)

    @cached_property
    def _whitening(self) -> tuple[Tensor, Tensor]:
        values, vectors = self.spectrum
        total = values + self.variance
        return (vectors / total.sqrt()[:, None]).float(), self.shares.log() - total.log().sum(1) / 2

    def log_joint(self, x: Tensor) -> Tensor:
        """Return log(share · density) of vectors (B, d) in each class, (B, K), without the constant −d/2·log 2π."""
        whitening, constant = self._whitening
        means = self.means.float()
        squares = [
            torch.linalg.vector_norm((x - mean) @ matrix, dim=1).square_()
            for mean, matrix in zip(means, whitening, strict=True)
        ]
        return constant.to(x) - torch.stack(squares, 1) / 2


def improved(mixture: Mixture, batches: Iterable[Tensor]) -> tuple[Mixture, float]:
    """Return a mixture after one iteration of EM, and the log-likelihood of the one before.

    Args:
        mixture: K classes of vectors of d values.
        batches: all vectors, some at a time, each (B, d) float32.

    Returns:
        The new mixture, whose likelihood is not lower, and Σ log p(x) under the old one (without the constant).
    """
    classes, size = mixture.means.shape
    counts = mixture.shares.new_zeros(classes)
    firsts = torch.zeros_like(mixture.means)
    seconds = mixture.means.new_zeros(classes, size, size)
    likelihood = 0.0
    means = mixture.means.float()
    for x in batches:
        joint = mixture.log_joint(x)
        evidence = joint.logsumexp(1)
        likelihood += float(evidence.sum(dtype=torch.float64))
        responsibility = (joint - evidence[:, None]).exp_().T.contiguous()  # (K, B)
        counts += responsibility.sum(1, dtype=torch.float64)
        for k, share in enumerate(responsibility):
            members = (share > _NEGLIGIBLE).nonzero()[:, 0]
            deviation = x[members] - means[k]
            weighted = deviation * share[members, None]
            firsts[k] += weighted.sum(0)
            seconds[k] += weighted.T @ deviation
    return _maximised(mixture, counts, firsts, seconds), likelihood


def _maximised(mixture: Mixture, counts: Tensor, firsts: Tensor, seconds: Tensor) -> Mixture:
    """Return the mixture of the M step from Σr, Σr(x − μ) and Σr(x − μ)(x − μ)ᵀ about the old means."""
    known = counts >= mixture.means.shape[1]  # else its covariance would be that of its few members: it stays as it is
    safe = torch.where(known, counts, 1.0)[:, None]
    moved = firsts / safe * known[:, None]
    scatter = seconds - safe[:, :, None] * moved[:, :, None] * moved[:, None, :]
    factors, noise = mixture.factors, mixture.variance
    eye = torch.eye(factors.shape[2]).to(factors)
    inner = factors.mT @ factors + noise * eye
    product = scatter @ factors  # Q
    system = safe[:, :, None] * noise * eye + torch.linalg.solve(inner, factors.mT @ product)
    updated = torch.linalg.solve(system, product, left=False)
    shares = counts.clamp(min=1e-12)
    return Mixture(
        shares / shares.sum(),
        mixture.means + moved,
        torch.where(known[:, None, None], updated, factors),
        mixture.sizes,
        noise,
    )
