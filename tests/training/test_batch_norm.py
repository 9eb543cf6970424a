"""Batch normalisation over shares of a batch is torch's own over the whole batch, forward and backward.

The processes are threads here, which exchange their numbers through a barrier.
"""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier

import pytest
import torch
from torch import nn

from harness.training.batch_norm import has_other_buffers, synchronise_batch_norms


class Exchange:
    """What threads that take part hand to one another."""

    def __init__(self, count):
        self.barrier, self.given = Barrier(count, timeout=30), [None] * count

    def all(self, rank, values):
        self.given[rank] = values.clone()
        self.barrier.wait()
        found = torch.stack(self.given)
        self.barrier.wait()
        return found


class Thread:
    """One of them, as `harness.training.ranks.Ranks` is one of several processes."""

    def __init__(self, exchange, rank):
        self._exchange, self._rank = exchange, rank

    def gathered(self, values):
        return self._exchange.all(self._rank, values)

    def total(self, values):
        return self._exchange.all(self._rank, values).sum(0)


class Only:
    """A process that has the whole batch."""

    def gathered(self, values):
        return values[None]

    def total(self, values):
        return values


def taken(norm, x, grad):
    """Return what a step of a module gives: output, gradients, moving averages."""
    x = x.clone().requires_grad_()
    y = norm(x)
    y.backward(grad)
    parameters = {name: value.grad for name, value in norm.named_parameters()}
    return {"y": y.detach(), "x": x.grad}, parameters, {name: value.clone() for name, value in norm.named_buffers()}


def in_shares(norm, x, grad, sizes):
    """Do the same in threads that have shares of such sizes."""
    exchange = Exchange(len(sizes))
    norms = [deepcopy(norm) for _ in sizes]
    for rank, each in enumerate(norms):
        synchronise_batch_norms(each, Thread(exchange, rank))
    with ThreadPoolExecutor(len(sizes)) as pool:
        return list(pool.map(taken, norms, x.split(sizes), grad.split(sizes)))


def example(shape, **how):
    """Return an input whose channels have a mean far from 0, and a gradient."""
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return (3 + 2 * x).to(**how), grad.to(**how)


CASES = {
    "2d": (nn.BatchNorm2d(4), (6, 4, 5, 3)),
    "1d": (nn.BatchNorm1d(4), (6, 4)),
    "1d, a series": (nn.BatchNorm1d(4), (6, 4, 7)),
    "3d": (nn.BatchNorm3d(4), (6, 4, 2, 3, 2)),
    "without weights": (nn.BatchNorm2d(4, affine=False), (6, 4, 3, 3)),
    "all batches alike": (nn.BatchNorm2d(4, momentum=None), (6, 4, 3, 3)),
    "no moving averages": (nn.BatchNorm2d(4, track_running_stats=False), (6, 4, 3, 3)),
}


@pytest.mark.parametrize("sizes", [(3, 3), (1, 5), (2, 1, 3)], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_shares_give_what_the_whole_batch_gives(case, sizes):
    norm, shape = deepcopy(CASES[case])
    norm.double()
    if norm.affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x, grad = example(shape, dtype=torch.float64)
    shares = in_shares(norm, x, grad, sizes)
    tensors, parameters, buffers = taken(norm, x, grad)
    for name, value in tensors.items():
        torch.testing.assert_close(torch.cat([share[0][name] for share in shares]), value)
    for name, value in parameters.items():
        torch.testing.assert_close(sum(share[1][name] for share in shares), value)
    for name, value in buffers.items():
        torch.testing.assert_close(shares[0][2][name], value)
        assert all(torch.equal(share[2][name], shares[0][2][name]) for share in shares)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)], ids=str)
def test_shares_of_single_and_half_precision(layout, dtype, tolerance):
    norm = nn.BatchNorm2d(8)
    x, grad = (tensor.contiguous(memory_format=layout) for tensor in example((6, 8, 6, 6), dtype=dtype))
    shares = in_shares(norm, x, grad, (4, 2))
    exact, _, buffers = taken(norm, x.float(), grad.float())
    for name, value in exact.items():
        got = torch.cat([share[0][name] for share in shares])
        assert got.dtype == dtype
        torch.testing.assert_close(got.float(), value, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(shares[0][2]["running_var"], buffers["running_var"], rtol=1e-6, atol=1e-6)
    assert shares[0][0]["y"].is_contiguous(memory_format=layout)


def test_its_gradients_are_those_of_finite_differences():
    norm = nn.BatchNorm2d(3).double()
    synchronise_batch_norms(norm, Only())
    x, _ = example((4, 3, 2, 2), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, w, b: torch.func.functional_call(norm, {"weight": w, "bias": b}, x),
                                    (x.requires_grad_(), norm.weight, norm.bias))  # fmt: skip


def test_names_and_evaluation_stay_as_they_are():
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    shared = deepcopy(plain)
    synchronise_batch_norms(shared, Only())
    x, _ = example((2, 3, 4, 4), dtype=torch.float32)
    assert list(shared.state_dict()) == list(plain.state_dict())
    assert torch.equal(shared.eval()(x), plain.eval()(x))


def test_other_buffers_are_found():
    assert not has_other_buffers(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    other = nn.Linear(2, 2)
    other.register_buffer("seen", torch.zeros(1))
    assert has_other_buffers(nn.Sequential(other))
