"""Matching pursuit against least squares in every step, and the update of a dictionary."""

import pytest
import scipy.stats
import torch

from harness.classical import KSvdOptions, k_svd
from harness.classical.methods.k_svd import noise_bound, some_patches, update
from harness.classical.omp import omp


def unit_rows(count, size, seed):
    rows = torch.randn(count, size, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


def pursued(signal, atoms, error, most):
    """Return the support and coefficients of one signal, with a least-squares problem per atom."""
    support, values = [], torch.zeros(0, dtype=torch.float64)
    left = signal
    while left.any() and len(support) < most and (left.square().sum() > error or not support):
        products = (atoms @ left).abs()
        products[support] = -1
        support.append(products.argmax().item())
        values = torch.linalg.lstsq(atoms[support].T, signal[:, None]).solution[:, 0]
        left = signal - values @ atoms[support]
    return support, values, left.square().sum()


@pytest.mark.parametrize(("error", "most"), [(30.0, 24), (2.0, 24), (1.0, 5), (1e-3, 30)])
def test_pursuit_is_least_squares_atom_by_atom(error, most):
    atoms, signals = unit_rows(40, 12, 0), 5 * torch.randn(60, 12, generator=torch.Generator().manual_seed(1))
    signals[7] = 0
    signals[8] = 3 * atoms[4]
    codes = omp(signals, atoms, error, most)
    dense = codes.dense(len(atoms))
    for b, signal in enumerate(signals):
        support, values, left = pursued(signal.double(), atoms.double(), error, min(most, 12))
        assert codes.support[b, : len(support)].tolist() == support
        assert codes.values[b, len(support) :].eq(0).all()
        torch.testing.assert_close(codes.values[b, : len(support)].double(), values, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(codes.error[b].double(), left, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close((signal - dense[b] @ atoms).square().sum(), codes.error[b], rtol=1e-3, atol=1e-3)


def test_equal_atoms_do_no_harm():
    atoms = unit_rows(1, 6, 0).expand(5, 6).contiguous()
    codes = omp(torch.randn(9, 6), atoms, 1e-6, 6)
    assert torch.isfinite(codes.values).all()
    torch.testing.assert_close(codes.dense(5).norm(dim=1), codes.values[:, 0].abs())


def test_an_update_never_makes_the_error_larger_and_keeps_the_support():
    signals = 10 * torch.randn(300, 12, generator=torch.Generator().manual_seed(2))
    atoms = unit_rows(20, 12, 3)
    errors = []
    for _ in range(6):
        codes = omp(signals, atoms, 200.0, 3).dense(20)
        errors.append((signals - codes @ atoms).square().sum().item())
        used = codes != 0
        update(signals, atoms, codes)
        errors.append((signals - codes @ atoms).square().sum().item())
        assert not (codes != 0)[~used].any()
        torch.testing.assert_close(atoms.norm(dim=1), torch.ones(20))
    assert all(after <= before * (1 + 1e-5) for before, after in zip(errors[::2], errors[1::2], strict=True))
    assert errors[-1] < 0.9 * errors[0]


def test_an_atom_becomes_the_best_of_what_its_users_leave():
    signals, atoms = torch.randn(50, 8, generator=torch.Generator().manual_seed(4)), unit_rows(1, 8, 5)
    codes = signals @ atoms.T
    update(signals, atoms, codes, powers=200)
    u, s, v = torch.linalg.svd(signals, full_matrices=False)
    torch.testing.assert_close(codes @ atoms, s[0] * torch.outer(u[:, 0], v[0]), rtol=1e-3, atol=1e-3)


def test_unused_atoms_become_the_signals_that_are_coded_worst():
    signals = torch.eye(6) * torch.tensor([1.0, 5, 2, 4, 3, 0])[:, None]
    atoms, codes = unit_rows(2, 6, 0), torch.zeros(6, 2)
    update(signals, atoms, codes)
    torch.testing.assert_close(atoms, torch.eye(6)[[1, 3]])


@pytest.mark.parametrize("n", [25, 49, 75, 147, 243])
def test_the_bound_of_noise_is_a_quantile_of_chi_squared(n):
    assert noise_bound(n, 0.93) == pytest.approx(scipy.stats.chi2.ppf(0.93, n) / n, rel=1e-3)


@pytest.mark.parametrize(("first", "every", "count"), [(0, 1, 12 * 13), (0, 5, 32), (4, 5, 31), (3, 200, 1)])
def test_patches_are_taken_evenly(first, every, count):
    image = torch.randn(3, 16, 17)
    rows = some_patches(image, 5, first, every)
    assert len(rows) == count
    for b, row in enumerate(rows):
        y, x = divmod(first + b * every, 13)
        assert torch.equal(row.view(3, 5, 5), image[:, y : y + 5, x : x + 5])


def test_every_iteration_has_patches_to_learn_from():
    image = 100 + 20 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
    counted = []
    result = k_svd(image, 20, KSvdOptions(every=100_000, training=1, last=1), progress=lambda *c: counted.append(c))
    assert torch.isfinite(result).all()
    assert len(counted) == counted[-1][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 1}, "a patch of 1 pixels; give 2 to 16"),
        ({"every": 0}, "must be at least 1"),
        ({"atoms": 0}, "must be at least 1"),
        ({"confidence": 1.0}, "confidence is 1.0; give a number between 0 and 1"),
        ({"gamma": -1}, "gamma must not be below 0"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        KSvdOptions(**options)
