"""The two estimates of NL-Bayes against the formulas, group by group in double precision."""

import pytest
import torch

from harness.classical import NlBayesOptions, nl_bayes
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
def test_constants_of_colour_follow_the_noise(sigma, first, second):
    steps = _steps(sigma, NlBayesOptions(), 3)
    assert [(s.patch, s.similar, s.beta, s.radius, s.stride) for s in steps] == [first, second]


@pytest.mark.parametrize(
    ("sigma", "first", "second"),
    [
        (5, (5, 35, 1.1, 8, 3), (5, 15, 1.1, 3, 4)),
        (10, (5, 45, 1.1, 11, 3), (5, 15, 1.1, 3, 4)),
        (15, (5, 45, 1.0, 11, 3), (5, 15, 1.0, 3, 4)),
        (25, (5, 45, 1.0, 11, 3), (5, 25, 1.0, 6, 4)),
        (30, (7, 90, 1.0, 18, 5), (5, 25, 1.0, 6, 4)),
        (40, (7, 90, 1.0, 18, 5), (5, 30, 0.9, 7, 4)),
        (80, (7, 100, 0.9, 18, 5), (5, 45, 0.9, 11, 4)),
    ],
)
def test_constants_of_grey_are_others(sigma, first, second):
    steps = _steps(sigma, NlBayesOptions(), 1)
    assert [(s.patch, s.similar, s.beta, s.radius, s.stride) for s in steps] == [first, second]


@pytest.mark.parametrize("channels", [1, 3])
def test_what_a_person_gives_is_used(channels):
    given = NlBayesOptions(patch=4, second_patch=6, similar=50, second_similar=40, beta=0.8, second_beta=0.7)
    first, second = _steps(25, given, channels)
    assert (first.patch, first.similar, first.beta) == (4, 50, 0.8)
    assert (second.patch, second.similar, second.beta) == (6, 40, 0.7)
    first, second = _steps(25, NlBayesOptions(patch=6, second_patch=4), channels)
    assert (first.similar, second.similar) == (108, 48)


@pytest.mark.parametrize("options", [{"similar": 25}, {"window": 9}, {"patch": 3, "similar": 11}])
def test_groups_too_small_for_their_covariance_are_refused(noisy, options):
    words = (
        r"nl_bayes: similar=\d+ and window=\d+ give groups of \d+ patches, of which there must be more than a patch of"
    )
    with pytest.raises(ValueError, match=words) as caught:
        nl_bayes(noisy, 25, NlBayesOptions(**options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 1}, "a patch of 1 pixels; give 2 to 8"),
        ({"second_similar": 3}, "a group of 3 patches; give at least 4"),
        ({"patch": 5, "similar": 25}, "similar is 25 with patch=5; give more than 25"),
        ({"beta": 0}, "beta and second_beta must be above 0"),
        ({"second_beta": float("nan")}, "beta and second_beta must be above 0"),
        ({"flat": -1}, "flat and near must not be below 0"),
        ({"near": float("nan")}, "flat and near must not be below 0"),
        ({"window": 12}, "window is 12; give an odd number of at least 3"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NlBayesOptions(**options)
