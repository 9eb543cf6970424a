"""RMSProp in TensorFlow's form and in torch's, each against the formula in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from harness.training.recipe import build_optimizer

PAPER = {"learning_rate": 0.1, "decay": 0.9, "momentum": 0.9, "epsilon": 1.0, "weight_decay": 4e-5}


def _tensorflow(w, gradients, rates, *, decay, momentum, epsilon, weight_decay, **_):
    squares, moment = np.ones_like(w), np.zeros_like(w)
    for gradient, rate in zip(gradients, rates, strict=True):
        g = gradient + weight_decay * w
        squares = decay * squares + (1 - decay) * g * g
        moment = momentum * moment + rate * g / np.sqrt(squares + epsilon)
        w = w - moment
    return w


def _torch(w, gradients, rates, *, decay, momentum, epsilon, weight_decay, **_):
    squares, moment = np.zeros_like(w), np.zeros_like(w)
    for gradient, rate in zip(gradients, rates, strict=True):
        g = gradient + weight_decay * w
        squares = decay * squares + (1 - decay) * g * g
        moment = momentum * moment + g / (np.sqrt(squares) + epsilon)
        w = w - rate * moment
    return w


def _steps(kind, options, shapes, rates, *, as_tensor=False):
    """Return the weights before and after some steps, and the gradients of each."""
    random = np.random.default_rng(7)
    before = [random.normal(size=shape) for shape in shapes]
    gradients = [[random.normal(size=shape) for shape in shapes] for _ in rates]
    parameters = [nn.Parameter(torch.tensor(w)) for w in before]
    optimizer = build_optimizer({"kind": kind, **options}, parameters)
    for of_step, rate in zip(gradients, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(rate, dtype=torch.float64) if as_tensor else rate
        for parameter, gradient in zip(parameters, of_step, strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
    return before, [p.detach().numpy() for p in parameters], gradients, optimizer


@pytest.mark.parametrize(("kind", "formula"), [("rmsprop_tf", _tensorflow), ("rmsprop", _torch)])
@pytest.mark.parametrize("options", [PAPER, {"learning_rate": 0.1, "momentum": 0.0, "decay": 0.5, "epsilon": 1e-8}])
def test_it_follows_its_formula_while_the_rate_falls(kind, formula, options):
    shapes, rates = [(3, 4), (5,), (2, 3, 3, 3)], [0.1, 0.1, 0.094, 0.01]
    before, after, gradients, _ = _steps(kind, options, shapes, rates)
    for i, w in enumerate(before):
        expected = formula(w, [g[i] for g in gradients], rates, **{"weight_decay": 0.0, **options})
        np.testing.assert_allclose(after[i], expected, rtol=1e-12)


def test_a_rate_in_a_tensor_is_the_same_rate():
    by_number, by_tensor = (
        _steps("rmsprop_tf", PAPER, [(4, 4)], [0.1, 0.05], as_tensor=t)[1][0] for t in (False, True)
    )
    np.testing.assert_array_equal(by_number, by_tensor)


def test_its_state_is_there_before_the_first_step_and_goes_through_a_checkpoint():
    parameter = nn.Parameter(torch.zeros(3))
    fresh = build_optimizer({"kind": "rmsprop_tf", **PAPER}, [parameter])
    assert fresh.state[parameter]["squares"].tolist() == [1, 1, 1]
    *_, trained = _steps("rmsprop_tf", PAPER, [(3,)], [0.1])
    fresh.load_state_dict(trained.state_dict())
    squares = next(iter(trained.state.values()))["squares"]
    np.testing.assert_array_equal(fresh.state[parameter]["squares"].numpy(), squares.float().numpy())
    assert not (squares == 1).any()


def test_a_parameter_without_a_gradient_stays():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = build_optimizer({"kind": "rmsprop_tf", **PAPER}, [used, unused])
    used.grad = torch.ones(2)
    optimizer.step()
    assert unused.tolist() == [1, 1]
    assert (used < 1).all()
