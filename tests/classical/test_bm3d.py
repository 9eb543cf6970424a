"""BM3D against itself written as loops over groups, in double precision."""

import numpy as np
import pytest
import torch

from harness.classical import Bm3dOptions, bm3d, transforms
from harness.classical.opponent import MATRIX

OPTIONS = Bm3dOptions(threshold=2.0, wiener=0.8, stride=4, window=7, group=8, wiener_group=16, beta=1.5)


def places(size):
    return sorted({*range(0, size - 8, OPTIONS.stride), size - 8})


def group_of(guide, row, column, count):
    """Return the places of the `count` nearest patches in the window, the reference first."""
    radius, (height, width) = OPTIONS.window // 2, guide.shape
    found = []
    for y in range(max(row - radius, 0), min(row + radius, height - 8) + 1):
        for x in range(max(column - radius, 0), min(column + radius, width - 8) + 1):
            difference = guide[y : y + 8, x : x + 8] - guide[row : row + 8, column : column + 8]
            found.append((-1.0 if (y, x) == (row, column) else (difference**2).sum(), y, x))
    return [(y, x) for _, y, x in sorted(found)[:count]]


def filtered(noisy, guide, matrix, count, shrink):
    """Filter every group of every channel: `shrink` maps (coefficients, the guide's) to (coefficients, weight)."""
    haar = transforms.haar(count).numpy()
    inverse = np.linalg.inv(matrix)
    window = transforms.kaiser(8, OPTIONS.beta).numpy()
    top, bottom = np.zeros_like(noisy), np.zeros_like(noisy)

    def transformed(image, group):
        flat = np.stack([matrix @ image[y : y + 8, x : x + 8] @ matrix.T for y, x in group])
        return np.einsum("ij,jab->iab", haar, flat)

    for row in places(noisy.shape[1]):
        for column in places(noisy.shape[2]):
            group = group_of(guide[0], row, column, count)
            for c in range(len(noisy)):
                coefficients, weight = shrink(transformed(noisy[c], group), transformed(guide[c], group))
                patches = np.einsum("ji,jab->iab", haar, coefficients)
                for (y, x), patch in zip(group, patches, strict=True):
                    top[c, y : y + 8, x : x + 8] += weight * window * (inverse @ patch @ inverse.T)
                    bottom[c, y : y + 8, x : x + 8] += weight * window
    return top / bottom


def naive(image, sigma):
    turn = np.array(MATRIX) if len(image) == 3 else np.eye(1)
    noisy = np.einsum("oc,chw->ohw", turn, image.double().numpy())

    def hard(coefficients, _):
        kept = np.abs(coefficients) >= OPTIONS.threshold * sigma
        return coefficients * kept, 1 / max(kept.sum(), 1)

    def wiener(coefficients, pilot):
        gain = pilot**2 / (pilot**2 + OPTIONS.wiener * sigma**2)
        return coefficients * gain, 1 / (gain**2).sum()

    basic = filtered(noisy, noisy, transforms.biorthogonal().numpy(), OPTIONS.group, hard)
    final = filtered(noisy, basic, transforms.cosine(8).numpy(), OPTIONS.wiener_group, wiener)
    return torch.from_numpy(np.einsum("oc,ohw->chw", turn, final))


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_what_loops_over_groups_give(noisy, channels):
    image = noisy[:channels, :22, :19]
    result = bm3d(image, 25.0, OPTIONS, tile=8)
    torch.testing.assert_close(result.double(), naive(image, 25.0), rtol=0, atol=0.02)


def test_derivatives_forward_and_backward_agree(noisy):
    image = noisy[:1, :20, :18].clone()
    direction = torch.linspace(-1, 1, image.numel()).view_as(image)
    _, tangent = torch.func.jvp(lambda x: bm3d(x, 25.0, OPTIONS), (image,), (direction,))
    image.requires_grad_()
    bm3d(image, 25.0, OPTIONS).sum().backward()
    torch.testing.assert_close(tangent.sum(), (image.grad * direction).sum(), rtol=1e-3, atol=1e-2)


def test_the_derivative_is_the_slope_along_a_smooth_pattern(noisy):
    image = noisy[:1, :20, :18].double()
    rows, columns = torch.meshgrid(torch.linspace(0, 3, 20), torch.linspace(0, 2, 18), indexing="ij")
    pattern = (rows.sin() * columns.cos())[None].double()
    options = Bm3dOptions(threshold=0.01, wiener=0.8, stride=4, window=7, group=8, wiener_group=16)  # keeps all
    step = 0.05
    ahead, behind = (bm3d(image + sign * step * pattern, 25.0, options) for sign in (1, -1))
    _, tangent = torch.func.jvp(lambda x: bm3d(x, 25.0, options), (image,), (pattern,))
    slope = (ahead - behind) / (2 * step)
    assert (slope - tangent).abs().mean() < 0.005 * slope.abs().mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "threshold and wiener must be above 0"),
        ({"wiener": float("nan")}, "threshold and wiener must be above 0"),
        ({"stride": 9}, "stride is 9; give 1 to 8"),
        ({"window": 38}, "window is 38; give an odd number"),
        ({"group": 12}, "a group of 12 patches; give a power of two of at most 81"),
        ({"wiener_group": 128}, "a group of 128 patches; give a power of two of at most 81"),
        ({"window": 5, "group": 16}, "a group of 16 patches; give a power of two of at most 9"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Bm3dOptions(**options)
