"""The two estimates of NL-Bayes against the formulas, group by group in double precision."""

import pytest
import torch

from harness.classical import NlBayesOptions
from harness.classical.methods.nl_bayes import _steps, first_estimate, second_estimate

VARIANCE, FLAT = 400.0, 420.0


@pytest.fixture
def groups():
    """Five groups of 40 patches of 3×3 in three channels, one of them flat; and which patches count: (R, C, N, k²)."""
    generator = torch.Generator().manual_seed(0)
    group = torch.randn(5, 3, 40, 9, generator=generator) * 30 + 100
    group[0] = 100 + 10 * torch.randn(3, 40, 9, generator=generator)
    kept = torch.rand(5, 40, generator=generator) > 0.2
    kept[1] = True
    return group, kept


def bayes(patches, covariance, variance):
    deviation = patches - patches.mean(0)
    return patches - variance * deviation @ torch.linalg.inv(covariance)


def test_the_first_estimate_is_the_formula(groups):
    group, kept = groups
    result = first_estimate(group, kept, VARIANCE, FLAT)
    for r in range(len(group)):
        patches = group[r, :, kept[r]].double()  # (C, n, k²)
        flat = patches.flatten(1).var(1).mean() < FLAT
        assert flat == (r == 0)
        for c, of_channel in enumerate(patches):
            formula = bayes(of_channel, torch.cov(of_channel.T), VARIANCE)
            expected = of_channel.mean().expand_as(of_channel) if flat else formula
            torch.testing.assert_close(result[r, c, kept[r]].double(), expected, rtol=1e-4, atol=1e-2)


def test_the_second_estimate_is_the_formula(groups):
    group, kept = groups
    group = group.transpose(1, 2).contiguous()
    pilot = torch.randn(group.shape, generator=torch.Generator().manual_seed(1)) * 40 + 90
    result = second_estimate(group, pilot, kept, VARIANCE, FLAT)
    for r in range(len(group)):
        patches, pilots = group[r, kept[r]].double(), pilot[r, kept[r]].double()  # (n, C, k²)
        if r == 0:
            expected = pilots.mean((0, 2), keepdim=True).expand_as(patches)
        else:
            covariance = torch.cov(pilots.flatten(1).T) + VARIANCE * torch.eye(27, dtype=torch.float64)
            expected = bayes(patches.flatten(1), covariance, VARIANCE).view_as(patches)
        torch.testing.assert_close(result[r, kept[r]].double(), expected, rtol=1e-4, atol=1e-2)


def test_patches_without_a_usable_covariance_stay(groups):
    group, kept = groups
    edges = torch.zeros_like(group)
    edges[:, :, ::2, :4] = 200.0  # two different patches only: all but one of the variances are 0
    assert torch.equal(first_estimate(edges, kept, VARIANCE, FLAT), edges)


@pytest.mark.parametrize(
    ("sigma", "first", "second"),
    [
        (10, (3, 27, 1.0, 6, 1), (3, 27, 1.2, 6, 2)),
        (25, (5, 75, 1.0, 18, 3), (3, 27, 1.2, 6, 2)),
        (50, (7, 147, 1.0, 18, 5), (5, 75, 1.0, 18, 4)),
        (80, (7, 147, 1.0, 18, 5), (7, 147, 1.0, 18, 6)),
    ],
)
def test_constants_follow_the_noise(sigma, first, second):
    steps = _steps(sigma, NlBayesOptions())
    assert [(s.patch, s.similar, s.beta, s.radius, s.stride) for s in steps] == [first, second]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 1}, "a patch of 1 pixels; give 2 to 8"),
        ({"second_similar": 1}, "a group of 1 patches; give at least 2"),
        ({"beta": 0}, "beta and second_beta must be above 0"),
        ({"flat": -1}, "flat and near must not be below 0"),
        ({"window": 12}, "window is 12; give an odd number of at least 3"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NlBayesOptions(**options)
