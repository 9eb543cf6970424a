"""The CPU kernels against plain torch: the same bits, gradients too, for any shape, layout and value."""

import math
from itertools import cycle
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.layers import channel_pool, channel_topk
from harness.layers.kernels import use_kernels

pytest.importorskip("numba")
from harness.layers.kernels import cpu

FORMATS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.bfloat16]
SIZES = [(1, 1), (1, 3), (2, 2), (7, 5), (4, 4), (3, 3), (8, 6)]
CHANNELS = [1, 2, 7, 16, 17, 24, 40, 96, 130]


@pytest.fixture(autouse=True)
def _auto():
    use_kernels("auto")
    yield
    use_kernels("auto")


def plain(pool, x):
    use_kernels("torch")
    try:
        return pool(x)
    finally:
        use_kernels("auto")


def maps(shape, dtype, memory_format, seed=0, one_in=40) -> torch.Tensor:
    """Draw maps full of ties; NaN, −0 and both infinities are each one in so many values."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-9, 10, shape, generator=generator).to(dtype)
    kind = torch.randint(0, one_in, shape, generator=generator)
    for number, value in enumerate((math.nan, -0.0, math.inf, -math.inf)):
        x[kind == number] = value
    return x.contiguous(memory_format=memory_format)


def assert_same_bits(actual, expected):
    """Equal to the bit, -0.0 and 0.0 apart; any NaN equals any."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert torch.equal(actual.isnan(), expected.isnan())
    one, other = (torch.where(t.isnan(), 1, t) for t in (actual, expected))
    assert torch.equal(one, other)
    assert torch.equal(one.signbit(), other.signbit())


def assert_like_plain_torch(pool, x):
    """Check values, memory format and gradient of `pool` at `x` against plain torch."""
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = pool(ours), plain(pool, theirs)
    assert _from_kernel(y)
    assert not _from_kernel(expected)
    assert_same_bits(y, expected)
    for form in FORMATS:
        assert not y.numel() or y.is_contiguous(memory_format=form) == expected.is_contiguous(memory_format=form)
    g = torch.arange(1, y.numel() + 1).reshape(y.shape).to(y.dtype)
    y.backward(g)
    expected.backward(g)
    assert torch.equal(ours.grad, theirs.grad)


def _from_kernel(y) -> bool:
    """Return whether a function of ours is the last in the graph of `y`, and not torch's own."""
    return type(y.grad_fn).__name__ in {"_FeaturePoolBackward", "_TopKPoolBackward"}


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduce", ["max", "min"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 8, 256])
def test_spatial(stride, reduce, dtype, memory_format):
    for h, w in (*SIZES, (19, 17), (47, 45)):  # maps that are gone through together, one by one, and together again
        x = maps((2, stride * 3, h, w), dtype, memory_format)
        assert_like_plain_torch(lambda x: channel_pool(x, stride, reduce), x)


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("channels", CHANNELS)
def test_topk(channels, largest, dtype, memory_format):
    for (h, w), one_in in zip(SIZES, cycle((40, 2000)), strict=False):
        x = maps((2, channels, h, w), dtype, memory_format, one_in=one_in)
        for k in {1, 2, 3, channels // 3, channels // 2, channels} & set(range(1, channels + 1)):
            assert_like_plain_torch(lambda x, k=k: channel_topk(x, k, largest), x)


@pytest.mark.parametrize("channels", [256, 257, 600, 2048])
@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
def test_many_channels(channels, memory_format):
    x = maps((1, channels, 3, 3), torch.float32, memory_format, one_in=1000)
    for k in (1, channels // 4, channels // 2, channels):
        assert_like_plain_torch(lambda x, k=k: channel_topk(x, k), x)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 3), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6),
    st.sampled_from([(dtype, form) for dtype in DTYPES for form in FORMATS]), st.booleans(), st.integers(0, 2**30),
)  # fmt: skip
def test_any_shape(n, channels, h, w, stride, kind, flag, seed):
    dtype, memory_format = kind
    x = maps((n, channels, h, w), dtype, memory_format, seed, one_in=40 if seed % 2 else 2000)
    assert_like_plain_torch(lambda x: channel_topk(x, 1 + seed % channels, flag), x)
    x = maps((n, channels * stride, h, w), dtype, memory_format, seed)
    assert_like_plain_torch(lambda x: channel_pool(x, stride, "max" if flag else "min"), x)


@pytest.mark.parametrize(
    "view",
    [lambda x: x[:, :, 1:-1, ::2], lambda x: x.transpose(2, 3), lambda x: x[:1].expand(3, -1, -1, -1)],
    ids=["crop", "transposed", "expanded"],
)
def test_views_and_gradients_of_any_stride(view):
    for pool in (lambda x: channel_pool(x, 2), lambda x: channel_topk(x, 3)):
        x = torch.randn(2, 8, 6, 8, requires_grad=True)
        y = pool(view(x))
        y.sum().backward()  # a gradient that is one number, expanded
        again = x.detach().clone().requires_grad_()
        plain(pool, view(again)).sum().backward()
        assert torch.equal(x.grad, again.grad)


def test_gradients_are_those_of_finite_differences():
    x = (torch.randperm(2 * 24 * 5 * 3).float() / 100).view(2, 24, 5, 3)
    for pool in (lambda x: channel_pool(x, 4), lambda x: channel_topk(x, 7, largest=False)):
        leaf = x.clone().requires_grad_()
        direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        weights = torch.randn(pool(x).shape, generator=torch.Generator().manual_seed(2))
        (pool(leaf) * weights).sum().backward()
        step = 1e-3
        change = ((pool(x + step * direction) - pool(x - step * direction)) * weights).double().sum() / (2 * step)
        torch.testing.assert_close((leaf.grad * direction).double().sum(), change, rtol=2e-3, atol=2e-2)


def test_second_derivatives():
    for pool in (lambda x: channel_pool(x, 2), lambda x: channel_topk(x, 2)):
        seconds = []
        for run in (pool, lambda x, pool=pool: plain(pool, x)):
            x = torch.arange(48.0).view(2, 6, 2, 2).requires_grad_()
            (first,) = torch.autograd.grad(run(x).pow(3).sum(), x, create_graph=True)
            seconds.append(torch.autograd.grad(first.square().sum(), x)[0])
        assert torch.equal(*seconds)


def test_the_number_of_threads_changes_no_bit():
    x = torch.randn(9, 48, 19, 13)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaf = x.clone().requires_grad_()
            y = torch.cat([channel_pool(leaf, 3), channel_topk(leaf, 20)], 1)
            y.square().sum().backward()
            found.append((y.detach(), leaf.grad))
    finally:
        torch.set_num_threads(threads)
    for y, gradient in found[1:]:
        assert torch.equal(y, found[0][0])
        assert torch.equal(gradient, found[0][1])


def test_parts_of_threads_that_are_not_there_are_done_by_those_that_are():
    x = torch.randn(9, 48, 19, 13)
    team = cpu._team()
    if team is None:
        pytest.skip("torch has no OpenMP library here whose threads we could use")

    def alone(function, data, threads, flags):
        assert (threads, flags) == (2, 0)
        function(data)

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with mock.patch.object(cpu, "_team", return_value=team._replace(parallel=alone)):
            found = channel_pool(x, 3), channel_topk(x, 20)
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(found, (channel_pool(x, 3), channel_topk(x, 20)), strict=True):
        assert torch.equal(one, other)
