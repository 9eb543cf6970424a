"""The operators harness::feature_pool and harness::topk_pool, with their backward, as torch knows operators.

Their names are older than `channel_pool` and `channel_topk`, and stay: exported programs hold them.

Each returns values and positions; positions (a byte, or 16 bits) are all that is saved for the backward pass. They have
shapes without data (`torch.compile`, `torch.export`), gradients of any order, and a rule for `vmap`. Autocast leaves
them alone, as it does `max`. On any device or dtype without a kernel they compute in plain torch.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from harness.layers.kernels import reference
from harness.layers.kernels.choice import give_up, wanted
from harness.layers.memory_format import is_channels_last
from harness.layers.transforms import batched, differentiated

_LIBRARY = torch.library.Library("harness", "DEF")
for _schema in (
    "feature_pool(Tensor x, int stride, bool minimum) -> (Tensor, Tensor)",
    "feature_pool_backward(Tensor g, Tensor taken, int stride) -> Tensor",
    "topk_pool(Tensor x, int k, bool largest) -> (Tensor, Tensor)",
    "topk_pool_backward(Tensor g, Tensor taken, int channels) -> Tensor",
):
    _LIBRARY.define(_schema, tags=(torch.Tag.pt2_compliant_tag, torch.Tag.needs_exact_strides))


@cache
def _module(device: str) -> Any:
    """Return the module with a device's kernels: imported if one is asked for, they want a compiler."""
    return import_module(f"harness.layers.kernels.{device}")


def kernel(name: str, x: Tensor) -> Callable[..., Any] | None:
    """Return the kernel `name` for `x`, or None if plain torch must do."""
    return ready_kernel(name, x) if wanted(x) else None


def ready_kernel(name: str, x: Tensor) -> Callable[..., Any] | None:
    """Return the kernel `name` for maps that are `wanted`, or None if it cannot be had."""
    try:
        function: Callable[..., Any] = _module(x.device.type).ready(name, x)
    except Exception as reason:  # noqa: BLE001 a compiler may fail in any way; plain torch is always there
        give_up(x.device.type, reason)
        return None
    return function


def _register(name: str, name_of_kernel: str, plain: Callable[..., Any], limit: Callable[..., bool]) -> None:
    """Let an operator use its kernel if `limit` holds of its arguments."""

    def run(x: Tensor, *arguments: Any) -> Any:
        function = kernel(name_of_kernel, x) if limit(x, *arguments) else None
        return plain(x, *arguments) if function is None else function(x, *arguments)

    _LIBRARY.impl(name, run, "CompositeExplicitAutograd")


_register("feature_pool", "spatial_forward", reference.feature_pool, lambda x, s, m: s <= reference.MOST_POOLED)  # noqa: ARG005
_register(
    "feature_pool_backward",
    "spatial_backward",
    reference.feature_pool_backward,
    lambda g, t, s: s <= reference.MOST_POOLED,  # noqa: ARG005
)
_register("topk_pool", "topk_forward", reference.topk_pool, lambda x, k, m: x.shape[1] <= reference.MOST_SORTED)  # noqa: ARG005
_register(
    "topk_pool_backward",
    "topk_backward",
    reference.topk_pool_backward,
    lambda g, t, c: c <= reference.MOST_SORTED,  # noqa: ARG005
)


def _like(x: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    n, _, h, w = x.shape
    form = torch.channels_last if is_channels_last(x) else torch.contiguous_format
    return x.new_empty((n, channels, h, w), dtype=dtype).contiguous(memory_format=form)


@torch.library.register_fake("harness::feature_pool", lib=_LIBRARY)
def _(x: Tensor, stride: int, minimum: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    groups = x.shape[1] // stride
    return _like(x, groups, x.dtype), _like(x, groups, reference.position_dtype(stride))


@torch.library.register_fake("harness::topk_pool", lib=_LIBRARY)
def _(x: Tensor, k: int, largest: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return _like(x, k, x.dtype), _like(x, k, reference.position_dtype(x.shape[1]))


@torch.library.register_fake("harness::feature_pool_backward", lib=_LIBRARY)
def _(g: Tensor, taken: Tensor, stride: int) -> Tensor:
    return _like(taken, g.shape[1] * stride, g.dtype)


@torch.library.register_fake("harness::topk_pool_backward", lib=_LIBRARY)
def _(g: Tensor, taken: Tensor, channels: int) -> Tensor:
    return _like(taken, channels, g.dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.stride_or_k, ctx.channels = inputs[1], inputs[0].shape[1]


def feature_pool_gradient(g: Tensor, taken: Tensor, stride: int) -> Tensor:
    """Return harness::feature_pool_backward's answer, by plain torch under transforms that the operator cannot join."""
    back = reference.feature_pool_backward if _needs_plain(g) else torch.ops.harness.feature_pool_backward
    return back(g, taken, stride)


def topk_pool_gradient(g: Tensor, taken: Tensor, channels: int) -> Tensor:
    """Return harness::topk_pool_backward's answer, by plain torch under transforms that the operator cannot join."""
    back = reference.topk_pool_backward if _needs_plain(g) else torch.ops.harness.topk_pool_backward
    return back(g, taken, channels)


def _needs_plain(g: Tensor) -> bool:
    """Return whether a gradient is differentiated or batched by what was not there when its values were computed."""
    return differentiated() or batched(g)


def _feature_pool_backward(ctx: Any, g: Tensor | None, _: Any) -> tuple[Any, ...]:
    if g is None:
        return None, None, None
    return feature_pool_gradient(g, ctx.saved_tensors[0], ctx.stride_or_k), None, None


def _topk_pool_backward(ctx: Any, g: Tensor | None, _: Any) -> tuple[Any, ...]:
    if g is None:
        return None, None, None
    return topk_pool_gradient(g, ctx.saved_tensors[0], ctx.channels), None, None


torch.library.register_autograd("harness::feature_pool", _feature_pool_backward, setup_context=_keep, lib=_LIBRARY)
torch.library.register_autograd("harness::topk_pool", _topk_pool_backward, setup_context=_keep, lib=_LIBRARY)


def _keep_taken(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(inputs[1])
    ctx.stride = inputs[2]


torch.library.register_autograd(
    "harness::feature_pool_backward",
    lambda ctx, v: (reference.feature_pool_gather(v, ctx.saved_tensors[0], ctx.stride), None, None),
    setup_context=_keep_taken,
    lib=_LIBRARY,
)
torch.library.register_autograd(
    "harness::topk_pool_backward",
    lambda ctx, v: (reference.topk_pool_gather(v, ctx.saved_tensors[0]), None, None),
    setup_context=_keep_taken,
    lib=_LIBRARY,
)


def _batched(operator: Any, tensors: int) -> Any:
    """Return a vmap rule: the batch joins the images."""

    def rule(info: Any, in_dims: Any, *arguments: Any) -> tuple[Any, Any]:
        folded = []
        for tensor, dim in zip(arguments[:tensors], in_dims, strict=False):
            front = tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            folded.append(front.flatten(0, 1))
        sizes = front.shape[:2]  # (B, N), of any of them; either may be 0
        out = operator(*folded, *arguments[tensors:])
        if isinstance(out, Tensor):
            return out.unflatten(0, sizes), 0
        return tuple(o.unflatten(0, sizes) for o in out), (0,) * len(out)

    return rule


for _name, _tensors in (("feature_pool", 1), ("topk_pool", 1), ("feature_pool_backward", 2), ("topk_pool_backward", 2)):
    torch.library.register_vmap(
        f"harness::{_name}", _batched(getattr(torch.ops.harness, _name), _tensors), lib=_LIBRARY
    )
