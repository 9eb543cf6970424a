"""Large fully connected layers by oneDNN: torch's values but for rounding, and torch's layers for all else."""

import copy
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from harness.layers.kernels import linear

pytestmark = pytest.mark.skipif(not linear._works(), reason="this torch has no oneDNN")


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch):
    monkeypatch.setattr(linear, "_LARGE", 60)
    monkeypatch.setattr(linear, "_faster", lambda: True)


def network(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(30, 20, bias=bias), nn.ReLU(), nn.Linear(20, 2))


def gradients(model, x):
    x = x.clone().requires_grad_()
    y = model(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 30), (1, 30), (2, 3, 30)], ids=str)
def test_values_and_gradients_are_those_of_torch(shape, bias):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected = gradients(network(bias), x)
    model = network(bias)
    assert linear.use_onednn(model) == 1  # the small one stays
    assert [type(m) for m in model] == [linear.OneDNNLinear, nn.ReLU, nn.Linear]
    with mock.patch.object(linear, "_product", wraps=linear._product) as asked:
        found = gradients(model, x)
    assert asked.call_count == 3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        assert one.stride() == other.stride()


def test_copies_and_states_go_over():
    x, model, other = torch.randn(7, 30), network(), network()
    linear.use_onednn(model)
    with torch.no_grad():
        model[0].weight.mul_(2)
    other.load_state_dict(model.state_dict())
    assert type(copy.deepcopy(model)[0]) is linear.OneDNNLinear
    assert torch.equal(copy.deepcopy(model)(x), model(x))
    torch.testing.assert_close(other(x), model(x))


def test_all_else_is_torch_s():
    model = network()
    linear.use_onednn(model)
    layer, x = model[0], torch.randn(4, 30)
    with mock.patch.object(linear, "_product", side_effect=AssertionError):
        assert torch.equal(layer(x[0]), F.linear(x[0], layer.weight, layer.bias))
        assert layer(x[:0]).shape == (0, 20)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        assert torch.func.vmap(layer)(x).shape == (4, 20)
        with FlopCounterMode(display=False) as counter:
            layer(x)
        assert counter.get_total_flops() == 2 * 4 * 30 * 20
        assert layer.double()(x.double()).dtype == torch.float64


def test_torch_s_own_where_it_is_not_faster_or_does_not_work(monkeypatch):
    monkeypatch.setattr(linear, "_faster", lambda: False)
    assert linear.use_onednn(network()) == 0
    monkeypatch.setattr(linear, "_faster", lambda: True)
    for wrong, words in (
        (mock.Mock(return_value=torch.zeros(4, 5)), "differ"),
        (mock.Mock(side_effect=RuntimeError("new")), "new"),
    ):
        linear._works.cache_clear()
        with mock.patch.object(linear, "_product", wrong), pytest.warns(RuntimeWarning, match=words):
            assert linear.use_onednn(network()) == 0
    linear._works.cache_clear()
    assert linear.use_onednn(network()) == 1
