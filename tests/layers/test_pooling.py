"""Both kinds of feature pooling against loops in plain Python, and what they promise beside the values."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.layers import ChannelPool2d, ChannelTopK2d, channel_pool, channel_topk

FORMATS = [torch.contiguous_format, torch.channels_last]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
TIES = [-1.0, -0.5, 0.0, 0.5, math.nan]


def ranked(values: list[float], largest: bool, channels: list[int]) -> list[int]:
    """Return `channels` in the order of Eq. (1): NaN above all numbers, of equal ones the lowest first."""

    def key(c: int) -> tuple[bool, float]:
        number = 0.0 if math.isnan(values[c]) else values[c]
        return math.isnan(values[c]), number

    order = list(channels)
    for i in range(1, len(order)):  # insertion sort: stable
        j = i
        while j and (key(order[j]) > key(order[j - 1]) if largest else key(order[j]) < key(order[j - 1])):
            order[j - 1], order[j] = order[j], order[j - 1]
            j -= 1
    return order


def taken_by_spatial(values: list[float], stride: int, reduce: str) -> list[int]:
    taken = []
    for first in range(0, len(values), stride):
        best = first
        for c in range(first, first + stride):
            if math.isnan(values[best]):
                break
            better = values[c] > values[best] if reduce == "max" else values[c] < values[best]
            if better or math.isnan(values[c]):
                best = c
        taken.append(best)
    return taken


def assert_takes(pool, taken, x: torch.Tensor) -> None:
    """Check the values of `pool(x)`, and by its gradient the channels that they came from, at every place."""
    leaf = x.detach().requires_grad_()
    y = pool(leaf)
    weights = torch.arange(1, y.numel() + 1, dtype=torch.float64).reshape(y.shape)
    y.backward(weights.to(x.dtype))
    assert y.dtype == x.dtype
    for n in range(x.shape[0]):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                values = x[n, :, i, j].tolist()
                channels = taken(values)
                torch.testing.assert_close(
                    y[n, :, i, j].tolist(), [values[c] for c in channels], rtol=0, atol=0, equal_nan=True
                )
                gradient = torch.zeros(len(values), dtype=x.dtype)
                gradient[channels] = weights[n, :, i, j].to(x.dtype)
                assert torch.equal(leaf.grad[n, :, i, j], gradient)


@st.composite
def maps_and_divisor(draw) -> tuple[torch.Tensor, int]:
    """Draw maps with ties and NaN, of any dtype, in either format, and a divisor of their channels."""
    stride, groups = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    n, h, w = draw(st.integers(0, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    count = n * stride * groups * h * w
    values = draw(st.lists(st.sampled_from(TIES), min_size=count, max_size=count))
    x = torch.tensor(values, dtype=draw(st.sampled_from(DTYPES))).reshape(n, stride * groups, h, w)
    return x.contiguous(memory_format=draw(st.sampled_from(FORMATS))), stride


@settings(deadline=None, max_examples=60)
@given(maps_and_divisor(), st.sampled_from(["max", "min"]))
def test_spatial_against_loops(drawn, reduce):
    x, stride = drawn
    pool = ChannelPool2d(stride, reduce)
    assert_takes(pool, lambda values: taken_by_spatial(values, stride, reduce), x)


@settings(deadline=None, max_examples=60)
@given(maps_and_divisor(), st.booleans())
def test_topk_against_loops(drawn, largest):
    x, stride = drawn
    k = x.shape[1] // stride
    pool = ChannelTopK2d(k, largest)
    assert_takes(pool, lambda values: ranked(values, largest, list(range(x.shape[1])))[:k], x)


POOLS = [
    pytest.param(lambda x: channel_pool(x, 4), id="max"),
    pytest.param(lambda x: channel_pool(x, 4, "min"), id="min"),
    pytest.param(lambda x: channel_topk(x, 8), id="largest"),
    pytest.param(lambda x: channel_topk(x, 8, largest=False), id="smallest"),
]


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("pool", POOLS)
def test_in_large_maps_ties_go_to_the_lowest_channel(pool, dtype, memory_format):
    # Vectorised kernels treat long rows and their ends differently from short ones.
    generator = torch.Generator().manual_seed(7)
    tied = torch.randint(-1, 2, (3, 32, 17, 19), generator=generator).double()
    # The same maps without ties: a small slope puts the lowest of equal channels first.
    slope = torch.linspace(0, 0.5, 32, dtype=torch.float64).view(1, 32, 1, 1)
    takes_low = pool(slope).flatten()[0] == 0
    untied = tied + slope if takes_low else tied - slope
    gradients = []
    for x in (untied, tied.to(dtype)):
        leaf = x.contiguous(memory_format=memory_format).detach().requires_grad_()
        weights = torch.arange(1, 9, dtype=x.dtype).view(1, 8, 1, 1).expand(3, 8, 17, 19)
        pool(leaf).backward(weights)
        gradients.append(leaf.grad.double())
    assert torch.equal(*gradients)


@pytest.mark.parametrize("pool", POOLS)
def test_gradcheck(pool):
    x = torch.randperm(2 * 32 * 2 * 3).to(torch.float64).view(2, 32, 2, 3) / 10
    for memory_format in FORMATS:
        leaf = x.contiguous(memory_format=memory_format).requires_grad_()
        assert torch.autograd.gradcheck(pool, (leaf,))
        assert torch.autograd.gradgradcheck(pool, (leaf,))


@pytest.mark.parametrize("pool", POOLS)
def test_the_output_has_the_format_of_the_input(pool):
    x = torch.randn(2, 32, 5, 3)
    assert pool(x).is_contiguous()
    last = pool(x.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, pool(x))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, :, 1:-1, ::2],
        lambda x: x.transpose(2, 3),
        lambda x: x[:1].expand(3, -1, -1, -1),
        lambda x: x.flip(1)[:, :, :1, :1],
        lambda x: torch.cat([x, x], 1)[:, ::2],
    ],
    ids=["crop", "transposed", "expanded", "pixel", "every-second"],
)
def test_views_give_what_their_copies_give(pool, view):
    x = torch.randn(2, 32, 6, 8)
    for memory_format in FORMATS:
        seen = view(x.contiguous(memory_format=memory_format))
        assert torch.equal(pool(seen), pool(seen.clone(memory_format=torch.contiguous_format)))


def test_examples():
    x = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0, 9.0]).view(1, 6, 1, 1)
    assert channel_pool(x, 2).flatten().tolist() == [3, 4, 9]
    assert channel_pool(x, 3, "min").flatten().tolist() == [1, 1]
    assert channel_topk(x, 3).flatten().tolist() == [9, 5, 4]
    assert channel_topk(x, 3, largest=False).flatten().tolist() == [1, 1, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: channel_pool(x, 3), "stride 3 does not divide 32 channels"),
        (lambda x: channel_pool(x, 0), "stride 0 is below 1"),
        (lambda x: channel_pool(x, 2, "mean"), "reduce is 'max' or 'min', not 'mean'"),
        (lambda x: channel_pool(x[0], 2), "not a tensor of 3 dimensions"),
        (lambda x: channel_topk(x, 0), "k is 1 to 32"),
        (lambda x: channel_topk(x, 33), "not 33"),
        (lambda x: channel_topk(x[0], 2), "not a tensor of 3 dimensions"),
    ],
)
def test_wrong_use_is_refused_in_one_line(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(1, 32, 2, 2))


def test_a_module_refuses_a_wrong_reduction_when_it_is_made():
    with pytest.raises(ValueError, match="not 'sum'"):
        ChannelPool2d(2, "sum")


def test_the_saved_positions_of_topk_are_only_those_kept():
    x = torch.randn(2, 32, 4, 4, requires_grad=True)
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype == torch.uint8:
            kept.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        channel_topk(x, 8)
    assert kept == [2 * 8 * 4 * 4]
