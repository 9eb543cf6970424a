"""Batch normalisation whose statistics are those of the whole batch while several processes have a share of it each.

Torch's SyncBatchNorm is for GPUs alone; this one works on CPUs too, by torch's fused operations on a process's share:

    forward   count, mean and variance of each share → gathered → mean and variance of the batch (Chan et al. 1979)
    backward  with x̂ = (x − mean) / √(var + ε), M numbers per channel, sums over the whole batch:
              ∂L/∂x = γ / √(var + ε) · (∂L/∂y − Σ ∂L/∂y / M − x̂ · Σ (∂L/∂y · x̂) / M)

The gradients of γ and β are those of the share, since DistributedDataParallel adds them up as all others.
"""

from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


class Together(Protocol):
    """What exchanges numbers with the other processes: `harness.training.ranks.Ranks`."""

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of all processes' values, which may take their place."""

    def gathered(self, values: Tensor) -> Tensor:
        """Return the values (N,) of all processes in the order of their ranks, (count, N)."""


def synchronise_batch_norms(model: nn.Module, ranks: Together) -> None:
    """Let every batch normalisation of a network, in training, normalise by the statistics of all processes' shares.

    The modules stay what they are, with the names of their state; in evaluation nothing changes.
    """
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            module.forward = partial(_forward, module, ranks)  # type: ignore[method-assign]


def has_other_buffers(model: nn.Module) -> bool:
    """Return whether a network has buffers that are not a batch normalisation's, which are equal in all processes."""
    return any(
        True for module in model.modules() if not isinstance(module, BATCH_NORMS) for _ in module.buffers(recurse=False)
    )


def _forward(norm: BatchNorm, ranks: Together, x: Tensor) -> Tensor:
    """Return x, (N, C, …), normalised, and update the module's moving averages as torch does."""
    if not norm.training:
        return type(norm).forward(norm, x)
    norm._check_input_dim(x)  # noqa: SLF001 - as its own forward
    exact = x.detach() if x.dtype == torch.float64 else x.detach().float()
    weight = exact.new_ones(x.shape[1]) if norm.weight is None else norm.weight
    whole = _statistics(exact, ranks)
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        new = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(whole.mean.to(norm.running_mean), new)
        unbiased = whole.variance * (whole.numbers / (whole.numbers - 1))
        norm.running_var.lerp_(unbiased.to(norm.running_var), new)
    normalised: Tensor = _Normalised.apply(x, weight, norm.bias, whole, norm.eps, ranks)  # type: ignore[no-untyped-call]
    return normalised


class _Statistics(NamedTuple):
    """Of the whole batch."""

    numbers: Tensor  # how many per channel, ()
    mean: Tensor  # (C,)
    variance: Tensor  # (C,), biased


def _statistics(x: Tensor, ranks: Together) -> _Statistics:
    """Return the statistics, float64, of all processes' shares (n, C, …)."""
    if x.is_cuda:
        variance, mean = torch.var_mean(x, [axis for axis in range(x.ndim) if axis != 1], correction=0)
    else:  # which is much faster there
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
    own = torch.cat([mean.new_tensor([x.numel() // x.shape[1]], dtype=torch.float64), mean.double(), variance.double()])
    found = ranks.gathered(own)  # (count, 1 + 2·C)
    counts, means, variances = found[:, :1], *found[:, 1:].chunk(2, dim=1)
    count = counts.sum()
    whole = (counts * means).sum(0) / count
    return _Statistics(count, whole, (counts * (variances + (means - whole).square())).sum(0) / count)


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        whole: _Statistics,
        epsilon: float,
        ranks: Together,
    ) -> Tensor:
        mean, variance = whole.mean.to(weight), whole.variance.to(weight)
        ctx.save_for_backward(x, weight, mean, variance, whole.numbers)
        ctx.epsilon, ctx.ranks, ctx.has_bias = epsilon, ranks, bias is not None
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=epsilon)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        # As if the statistics were given: γ / √(var + ε) · ∂L/∂y, Σ (∂L/∂y · x̂), Σ ∂L/∂y of this share.
        by_x, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.epsilon, [True, True, True]
        )
        sums = ctx.ranks.total(torch.cat([by_weight, by_bias])) / count.to(by_weight)
        of_product, of_grad = sums.chunk(2)
        inverse = (variance + ctx.epsilon).rsqrt()
        slope = -weight * inverse.square() * of_product  # of x in what the statistics add
        offset = -weight * inverse * of_grad - slope * mean
        shape = [1, -1, *[1] * (x.ndim - 2)]
        by_x = by_x.addcmul_(x, slope.to(x).view(shape)).add_(offset.to(x).view(shape))
        return by_x, by_weight, by_bias if ctx.has_bias else None, None, None, None
