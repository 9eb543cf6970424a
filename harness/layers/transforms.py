"""Which of torch's function transforms a call runs under, as far as the layers must know.

`torch.func` rewrites operators level by level. Batched gradients (`is_grads_batched`, `jacobian(vectorize=True)`) use
an older batching that torch keeps beside it and that no level shows: only the tensor, or its tangent, tells. A kernel
cannot be differentiated again and has no memory of a batched tensor to read; and neither batching says in which order
maps lie in memory.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack, is_legacy_batchedtensor, maybe_current_level
from torch.autograd import forward_ad

_DERIVATIVES = (TransformType.Grad, TransformType.Jvp)
_F = TypeVar("_F", bound=Callable[..., object])


def constant_result(function: _F) -> _F:
    """Mark a function as `torch.compiler.assume_constant_result` does, without importing the compiler for seconds."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # noqa: SLF001
    return function


def differentiated() -> bool:
    """Return whether a transform differentiates what is called now: `torch.func.grad` and its like, or forward mode."""
    return forward_ad._current_level >= 0 or _differentiating()  # noqa: SLF001


def batched(x: Tensor) -> bool:
    """Return whether `x`, or what else is computed of it now, may stand for a batch of tensors of its shape."""
    if _batching():
        return True
    if torch.compiler.is_compiling():  # follows none of the older batching
        return False
    return is_legacy_batchedtensor(x) or (forward_ad._current_level >= 0 and _has_batched_tangent(x))  # noqa: SLF001


def transformed(x: Tensor) -> bool:
    """Return whether any transform, `torch.func`'s or another, is at work on `x`. Not for what a compiler traces."""
    return maybe_current_level() is not None or forward_ad._current_level >= 0 or is_legacy_batchedtensor(x)  # noqa: SLF001


def _has_batched_tangent(x: Tensor) -> bool:
    tangent = forward_ad.unpack_dual(x).tangent  # type: ignore[no-untyped-call]
    return tangent is not None and is_legacy_batchedtensor(tangent)


# A compiler, too, enters the levels of what it traces, and guards those around it: what is found then holds.
@constant_result
def _differentiating() -> bool:
    return maybe_current_level() is not None and any(i.key() in _DERIVATIVES for i in get_interpreter_stack() or ())


@constant_result
def _batching() -> bool:
    return maybe_current_level() is not None and any(
        i.key() == TransformType.Vmap for i in get_interpreter_stack() or ()
    )
