"""The short way to a kernel: call by call, with nothing that watches or rewrites operators.

An operator of torch's library with a gradient costs about 0.2 ms a step in Python, as much as pooling small maps. Where
nobody could tell the difference (no compiler, no tracer, no `torch.func`, no dispatch mode, a plain tensor) the kernel
is called from an `autograd.Function` instead; elsewhere, and for second derivatives, the operators are.
"""

from typing import Any

import torch
from torch import Tensor, nn

from harness.layers.kernels import ops
from harness.layers.kernels.reference import MOST_POOLED, MOST_SORTED
from harness.layers.transforms import transformed

PLAIN = frozenset({Tensor, nn.Parameter})


def feature_pool(x: Tensor, stride: int, minimum: bool) -> Tensor:
    """Return harness::feature_pool's values of maps that are `wanted`, the short way if that may be taken."""
    if unwatched(x) and stride <= MOST_POOLED and (kernel := ops.ready_kernel("spatial_forward", x)) is not None:
        if x.requires_grad and torch.is_grad_enabled():
            return _FeaturePool.apply(x, stride, minimum, kernel)  # type: ignore[no-any-return, no-untyped-call]
        return kernel(x, stride, minimum)[0]  # type: ignore[no-any-return]
    return torch.ops.harness.feature_pool(x, stride, minimum)[0]  # type: ignore[no-any-return]


def topk_pool(x: Tensor, k: int, largest: bool) -> Tensor:
    """Return harness::topk_pool's values of maps that are `wanted`, the short way if that may be taken."""
    if unwatched(x) and x.shape[1] <= MOST_SORTED and (kernel := ops.ready_kernel("topk_forward", x)) is not None:
        if x.requires_grad and torch.is_grad_enabled():
            return _TopKPool.apply(x, k, largest, kernel)  # type: ignore[no-any-return, no-untyped-call]
        return kernel(x, k, largest)[0]  # type: ignore[no-any-return]
    return torch.ops.harness.topk_pool(x, k, largest)[0]  # type: ignore[no-any-return]


def unwatched(x: Tensor) -> bool:
    """Return whether nothing watches or rewrites operators on `x`: a plain tensor, no compiler, tracer or mode."""
    return (
        not torch.compiler.is_compiling()
        and type(x) in PLAIN
        and torch._C._get_tracing_state() is None  # noqa: SLF001
        and torch._C._len_torch_dispatch_stack() == 0  # noqa: SLF001
        and not transformed(x)
    )


def _gradient(watched: Any, name: str, g: Tensor, taken: Tensor, number: int) -> Tensor:
    kernel = None if torch.is_grad_enabled() or not unwatched(g) else ops.kernel(name, g)
    result: Tensor = (watched if kernel is None else kernel)(g, taken, number)
    return result


class _FeaturePool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, minimum: bool, kernel: Any) -> Tensor:
        values, taken = kernel(x, stride, minimum)
        ctx.save_for_backward(taken)
        ctx.stride = stride
        return values  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (taken,) = ctx.saved_tensors
        return _gradient(ops.feature_pool_gradient, "spatial_backward", g, taken, ctx.stride), None, None, None


class _TopKPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int, largest: bool, kernel: Any) -> Tensor:
        values, taken = kernel(x, k, largest)
        ctx.save_for_backward(taken)
        ctx.channels = x.shape[1]
        return values  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        (taken,) = ctx.saved_tensors
        return _gradient(ops.topk_pool_gradient, "topk_backward", g, taken, ctx.channels), None, None, None
