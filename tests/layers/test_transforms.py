"""The layers under torch's function transforms: values and derivatives are those of plain torch, to the bit.

The oracle is the formula of a layer in a line of torch. Large fully connected layers, whose products differ from
torch's by rounding, are held against `nn.Linear`.
"""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.autograd.functional import hessian as autograd_hessian
from torch.autograd.functional import jacobian
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from harness.layers import ChannelAverage, ChannelPool, ChannelTopK, Conv1x1, Maxout, RandomChannel
from harness.layers.kernels import linear

CHANNELS = 4
KEPT = RandomChannel(2).layer(CHANNELS).index


def grouped(x):
    n, c, h, w = x.shape
    return x.reshape(n, c // 2, 2, h, w)


def sorted_first(x, k=2):
    return x.gather(1, torch.sort(x.detach(), dim=1, descending=True, stable=True).indices[:, :k])


def convolution():
    torch.manual_seed(0)
    return Conv1x1(2).layer(CHANNELS)


OPERATORS = {
    "spatial-max": (lambda: ChannelPool(2).layer(CHANNELS), lambda x: grouped(x).max(2).values),
    "spatial-min": (lambda: ChannelPool(2, "min").layer(CHANNELS), lambda x: grouped(x).min(2).values),
    "topk": (lambda: ChannelTopK(2).layer(CHANNELS), sorted_first),
    "average": (lambda: ChannelAverage(2).layer(CHANNELS), lambda x: grouped(x).mean(2)),
    "maxout": (lambda: Maxout(2).layer(CHANNELS), lambda x: grouped(x).max(2).values),
    "random": (lambda: RandomChannel(2).layer(CHANNELS), lambda x: x[:, KEPT]),
    "conv1x1": (convolution, None),  # torch's own: what is asked is that nothing of ours is in its way
}


def cubed(f):
    return lambda x: f(x).pow(3).sum()


def batch(x):
    return torch.stack([x, x.flip(1), 2 * x - 1])


def drawn(*shape, like):
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(1)).to(like.dtype)


def leaf(x):
    return x.detach().clone(memory_format=torch.preserve_format).requires_grad_()


def batched_grads(f, x):
    x = leaf(x)
    y = f(x)
    return torch.autograd.grad(y, x, drawn(3, *y.shape, like=x), is_grads_batched=True)[0]


def batched_second(f, x):
    x = leaf(x)
    (first,) = torch.autograd.grad(cubed(f)(x), x, create_graph=True)
    return torch.autograd.grad(first, x, drawn(3, *x.shape, like=x), is_grads_batched=True)[0]


def batched_grads_of_vmap(f, x):
    x = leaf(batch(x))
    y = vmap(f)(x)
    return torch.autograd.grad(y, x, drawn(3, *y.shape, like=x), is_grads_batched=True)[0]


def backward_through(f, x):
    x = leaf(x)
    return torch.autograd.grad(cubed(vmap(f))(x), x)[0]


def built_before(transform):
    """The graph is there before the transform of its backward pass begins."""

    def run(f, x):
        x = leaf(x)
        y = f(x)
        return transform(lambda g: torch.autograd.grad(y, x, g, retain_graph=True)[0], drawn(*y.shape, like=x))

    return run


def built_by_vmap_before(transform):
    return lambda f, x: built_before(transform)(vmap(f), batch(x))


def dual(f, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, x.flip(1).contiguous()))).tangent


def tangent(f, x):
    return jvp(f, (x,), (x.flip(1).contiguous(),))[1]


TRANSFORMS = {
    "vmap": lambda f, x: vmap(f)(batch(x)),
    "vmap of dim 1": lambda f, x: vmap(f, in_dims=1, out_dims=-1)(batch(x).movedim(0, 1)),
    "vmap in chunks": lambda f, x: vmap(f, chunk_size=2)(batch(x)),
    "vmap of vmap": lambda f, x: vmap(vmap(f))(torch.stack([batch(x), -batch(x)])),
    "vmap of no batch": lambda f, x: vmap(f)(batch(x)[:0]),
    "vmap of no images": lambda f, x: vmap(f)(batch(x)[:, :0]),
    "backward of vmap": lambda f, x: backward_through(f, batch(x)),
    "backward of vmap of no batch": lambda f, x: backward_through(f, batch(x)[:0]),
    "vmap of grad of no batch": lambda f, x: vmap(grad(cubed(f)))(batch(x)[:0]),
    "grad": lambda f, x: grad(cubed(f))(x),
    "grad of grad": lambda f, x: grad(cubed(grad(cubed(f))))(x),
    "grad of vmap": lambda f, x: grad(cubed(vmap(f)))(batch(x)),
    "vmap of grad": lambda f, x: vmap(grad(cubed(f)))(batch(x)),
    "grad of vmap of grad": lambda f, x: grad(cubed(vmap(grad(cubed(f)))))(batch(x)),
    "vjp": lambda f, x: vjp(f, x)[1](drawn(*f(x).shape, like=x))[0],
    "vmap of vjp": lambda f, x: vmap(vjp(f, x)[1])(drawn(3, *f(x).shape, like=x))[0],
    "jvp": tangent,
    "vmap of jvp": lambda f, x: vmap(lambda x: tangent(f, x))(batch(x)),
    "dual": dual,
    "jacrev": lambda f, x: jacrev(f)(x),
    "jacfwd": lambda f, x: jacfwd(f)(x),
    "hessian": lambda f, x: hessian(cubed(f))(x),
    "jacrev of jacrev": lambda f, x: jacrev(jacrev(cubed(f)))(x),
    "jacfwd of jacfwd": lambda f, x: jacfwd(jacfwd(cubed(f)))(x),
    "is_grads_batched": batched_grads,
    "is_grads_batched, second": batched_second,
    "is_grads_batched of vmap": batched_grads_of_vmap,
    "jacobian": lambda f, x: jacobian(f, x, vectorize=True),
    "jacobian, forward": lambda f, x: jacobian(f, x, vectorize=True, strategy="forward-mode"),
    "hessian, vectorised": lambda f, x: autograd_hessian(cubed(f), x, vectorize=True),
    "built, then dual": built_before(dual),
    "built, then jvp": built_before(tangent),
    "built, then vmap": built_before(lambda f, g: vmap(f)(batch(g))),
    "built by vmap, then dual": built_by_vmap_before(dual),
    "built by vmap, then jvp": built_by_vmap_before(tangent),
}

LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]

CASES = [
    pytest.param(operator, transform, dtype, id=f"{operator}-{transform}-{dtype}")
    for operator in OPERATORS
    for transform in TRANSFORMS
    for dtype in (DTYPES[:1] if operator in {"maxout", "conv1x1"} else DTYPES)  # the same code as spatial-max; torch's
    if (operator, transform) != ("conv1x1", "vmap of grad of no batch")  # torch's convolution refuses it
]


def maps(dtype, layout):
    """Return maps (2, 4, 1, 3) in which no two values are equal."""
    values = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    return LAYOUTS[layout](((values.view(2, CHANNELS, 1, 3) - 7.5) / 4).to(dtype))


@pytest.mark.parametrize(("operator", "transform", "dtype"), CASES)
def test_transforms_are_those_of_plain_torch(operator, transform, dtype):
    make, oracle = OPERATORS[operator]
    layer, run = make().to(dtype), TRANSFORMS[transform]
    plain = oracle or (lambda x: nn.functional.conv2d(x, layer.weight, layer.bias))
    for layout in LAYOUTS:
        x = maps(dtype, layout)
        expected, found = run(plain, x), run(layer, x)
        assert found.shape == expected.shape, layout
        assert found.dtype == expected.dtype, layout
        assert torch.equal(found, expected), layout


@pytest.mark.parametrize("transform", ["grad", "vmap", "grad of vmap"])
@pytest.mark.parametrize("operator", ["spatial-max", "topk", "average", "random"])
def test_compiled_transforms(operator, transform):
    """In one graph, as plain torch is."""
    make, oracle = OPERATORS[operator]
    layer, run = make(), TRANSFORMS[transform]
    x = maps(torch.float32, "channels_last")
    torch.compiler.reset()
    compiled = torch.compile(lambda x: run(layer, x), backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), run(oracle, x))


def test_the_memory_format_is_kept_where_a_transform_can_say_what_it_is():
    x = maps(torch.float64, "channels_last")
    for name in ("spatial-max", "topk", "average", "random"):
        layer = OPERATORS[name][0]()
        value = torch.func.grad_and_value(lambda x, f=layer: (f(x).sum(), f(x)), has_aux=True)(x)[1][1]
        assert value.is_contiguous(memory_format=torch.channels_last), name


@pytest.fixture
def onednn(monkeypatch):
    if not linear._works():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(linear, "_LARGE", 6)
    monkeypatch.setattr(linear, "_faster", lambda: True)
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(3, 4))
    assert linear.use_onednn(layer) == 1
    return layer[0]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_large_linear_layer_too(onednn, transform):
    plain = lambda x: nn.functional.linear(x, onednn.weight, onednn.bias)  # noqa: E731
    x = maps(torch.float32, "contiguous")[0, :, 0].t().contiguous().t()  # (4, 3), of two strides
    torch.testing.assert_close(TRANSFORMS[transform](onednn, x), TRANSFORMS[transform](plain, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("of", ["x", "weight", "bias"])
def test_every_second_derivative_of_a_large_linear_layer(onednn, of):
    x = maps(torch.float32, "contiguous").movedim(1, 2).reshape(-1, 3)

    def second(layer):
        leaves = {"x": leaf(x), **{name: leaf(p) for name, p in onednn.named_parameters()}}
        y = layer(leaves)
        first = torch.autograd.grad(y.pow(3).sum(), list(leaves.values()), create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), leaves[of])[0]

    found = second(lambda p: functional_call(onednn, {"weight": p["weight"], "bias": p["bias"]}, (p["x"],)))
    expected = second(lambda p: nn.functional.linear(p["x"], p["weight"], p["bias"]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_a_large_linear_layer_by_its_parameters(onednn):
    """Of each example, as for a Fisher matrix, and forward mode where the weight alone has a tangent."""
    x = maps(torch.float32, "contiguous").movedim(1, 2).reshape(-1, 3)
    parameters = {name: p.detach() for name, p in onednn.named_parameters()}

    def cube(layer):
        return lambda p, x: layer(p, x[None]).pow(3).sum()

    ours = cube(lambda p, x: functional_call(onednn, p, (x,)))
    plain = cube(lambda p, x: nn.functional.linear(x, p["weight"], p["bias"]))
    found, expected = (vmap(grad(f), in_dims=(None, 0))(parameters, x) for f in (ours, plain))
    torch.testing.assert_close(found, expected)
    with forward_ad.dual_level():
        weight = forward_ad.make_dual(parameters["weight"], torch.ones_like(parameters["weight"]))
        y = functional_call(onednn, {**parameters, "weight": weight}, (x,))
        torch.testing.assert_close(forward_ad.unpack_dual(y).tangent, x @ torch.ones(4, 3).t())
