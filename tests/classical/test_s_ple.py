"""The mixture of S-PLE, its start, and Stein's estimate of the risk."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from harness.classical import SPleOptions
from harness.classical.methods import s_ple_start
from harness.classical.methods.s_ple import _Filters
from harness.classical.methods.s_ple_start import SIZES, learnt_start, patch_classes, photographs, stored_start
from harness.classical.mixture import Mixture, improved
from harness.classical.patches import patch_table

CPU = torch.device("cpu")


@pytest.fixture
def small():
    """Three classes of vectors of 5 values with 3, 2 and 1 factors, and 400 vectors."""
    generator = torch.Generator().manual_seed(0)
    factors = 4 * torch.randn(3, 5, 3, generator=generator, dtype=torch.float64)
    factors[1, :, 2:] = 0
    factors[2, :, 1:] = 0
    means = 5 * torch.randn(3, 5, generator=generator, dtype=torch.float64)
    shares = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    vectors = 6 * torch.randn(400, 5, generator=generator) + means[torch.arange(400) % 3].float()
    return Mixture(shares, means, factors, (3, 2, 1), 2.0), vectors


def test_densities_are_those_of_normal_distributions(small):
    mixture, vectors = small
    joint = mixture.log_joint(vectors) - 2.5 * math.log(2 * math.pi)
    for k in range(3):
        covariance = mixture.factors[k] @ mixture.factors[k].T + 2 * torch.eye(5)
        expected = MultivariateNormal(mixture.means[k], covariance).log_prob(vectors.double()) + mixture.shares[k].log()
        torch.testing.assert_close(joint[:, k].double(), expected, rtol=1e-4, atol=1e-3)


def test_likelihood_never_falls(small):
    mixture, vectors = small
    reached = []
    for _ in range(30):
        mixture, likelihood = improved(mixture, [vectors[:150], vectors[150:]])
        reached.append(likelihood)
    assert all(after >= before - 1e-2 for before, after in pairwise(reached))
    assert reached[-1] > reached[0] + 10


def test_likelihood_never_falls_on_a_photograph(noisy):
    rows = patch_table(noisy.mean(0, keepdim=True), 8)[:, 0]
    mixture = stored_start(25**2 / 3, CPU)
    reached = []
    for _ in range(5):
        mixture, likelihood = improved(mixture, [rows])
        reached.append(likelihood)
    assert all(after > before for before, after in pairwise(reached))


def test_an_iteration_is_the_formula(small):
    mixture, vectors = small
    new, _ = improved(mixture, [vectors])
    x = vectors.double()
    share = mixture.log_joint(vectors).double().softmax(1)
    for k, size in enumerate(mixture.sizes):
        count = share[:, k].sum()
        mean = share[:, k] @ x / count
        factors = mixture.factors[k, :, :size]
        product = (x - mean).T @ (share[:, k, None] * (x - mean)) @ factors
        inner = factors.T @ factors + 2 * torch.eye(size, dtype=torch.float64)
        system = count * 2 * torch.eye(size, dtype=torch.float64) + torch.linalg.inv(inner) @ factors.T @ product
        torch.testing.assert_close(new.shares[k], count / len(x), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(new.means[k], mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(new.factors[k, :, :size], product @ torch.linalg.inv(system), rtol=1e-3, atol=1e-3)
        assert new.factors[k, :, size:].abs().max().item() == 0 if size < 3 else True


def test_a_class_with_fewer_members_than_values_stays(small):
    mixture, vectors = small
    far = Mixture(mixture.shares, mixture.means + 1e4 * torch.eye(3, 5), mixture.factors, mixture.sizes, 2.0)
    far.means[:2] = mixture.means[:2]
    new, _ = improved(far, [vectors])
    assert torch.equal(new.means[2], far.means[2])
    assert torch.equal(new.factors[2], far.factors[2])
    assert torch.isfinite(improved(new, [vectors])[0].factors).all()


def test_stored_gaussians_are_those_of_the_photographs():
    means, factors = learnt_start(photographs())
    with np.load(s_ple_start._STORED) as stored:
        np.testing.assert_allclose(stored["means"], means.numpy(), rtol=1e-3)
        ours = torch.from_numpy(stored["factors"]).double().split(SIZES)
    for mine, theirs in zip(ours, factors.split(SIZES), strict=True):
        expected = theirs.T @ theirs
        torch.testing.assert_close(mine.T @ mine, expected, rtol=0, atol=2e-3 * expected.abs().max().item())


def test_classes_are_orientations():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    for k in range(18):
        angle = (k + 0.5) * math.pi / 18  # of the gradient
        stripes = 100 + 60 * torch.sin(0.5 * (x * math.cos(angle) + y * math.sin(angle)))
        classes = patch_classes(stripes[None])
        assert classes.shape == (33, 33)
        assert (classes == k).float().mean() > 0.98
    assert (patch_classes(torch.full((1, 40, 40), 7.0)) == 19).all()
    noise = 100 * torch.randn(1, 40, 40, generator=torch.Generator().manual_seed(0))
    assert (patch_classes(noise) == 18).float().mean() > 0.98


def test_too_few_patches_are_an_error():
    with pytest.raises(ValueError, match=r"class 0 has \d+ patches; give more images"):
        learnt_start([torch.rand(1, 40, 40) * 255])


def test_steins_estimate_is_the_mean_squared_error_on_average(photograph):
    clean = patch_table(photograph.mean(0, keepdim=True), 8)[:, 0]
    spread = 20.0
    noise = spread * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    mixture = stored_start(spread**2, CPU)
    filters = _Filters(mixture, spread, 1.0, SPleOptions(negligible=0.0))
    best, (estimates,) = filters((clean + noise)[:, None])
    assert best.shape == (len(clean),)
    for filtered in estimates[:2]:  # a threshold is no smooth function, as Stein's estimate needs
        error = (filtered.patches - clean).square().mean().item()
        assert filtered.risk.mean().item() == pytest.approx(error, rel=0.1)
    assert (estimates[1].patches - clean).square().mean().item() < 0.8 * spread**2


def test_the_threshold_keeps_large_coefficients_and_counts_them():
    generator = torch.Generator().manual_seed(2)
    rows = 100 + 40 * torch.randn(30, 64, generator=generator)
    mixture = stored_start(100.0, CPU)
    filters = _Filters(mixture, 10.0, 1.0, SPleOptions())
    best, ((unfiltered, _, thresholded),) = filters(rows[:, None])
    assert torch.equal(unfiltered.patches, rows)
    assert unfiltered.risk.tolist() == [100.0] * 30
    for b, row in enumerate(rows):
        size, mean = SIZES[best[b]], mixture.means[best[b]].float()
        basis = mixture.spectrum[1][best[b], :, :size].float()
        coefficients = (row - mean) @ basis
        kept = coefficients.abs() >= 10 * math.sqrt(2 * math.log(size))
        estimate = mean + basis @ (coefficients * kept)
        risk = (estimate - row).square().mean() - 100 * (1 - 2 * kept.sum() / 64)
        torch.testing.assert_close(thresholded.patches[b], estimate, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(thresholded.risk[b], risk, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("options", [{"iterations": -1}, {"threshold": -1}, {"negligible": 0.05}])
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(ValueError, match="iterations and threshold must not be below 0"):
        SPleOptions(**options)
