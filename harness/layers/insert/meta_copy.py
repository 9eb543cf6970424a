"""A copy of a network on the meta device: the same modules and shapes, no values and no storage."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from harness.layers.insert.errors import RefusalError
from harness.layers.insert.layers import BATCH_NORMS, is_layer


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy of `model` whose parameters, buffers and other tensor attributes lie on the meta device.

    What two modules share they share in the copy too. Nothing is allocated but the modules themselves.

    Hooks come along and run: what they return is part of what the network computes (pruning and weight normalisation
    are hooks, and so are compressors), and without them it is another network. So a hook that stores what it sees gets
    tensors without values.

    Raises:
        RefusalError: the model cannot be copied, or has parameters without a shape (lazy modules that never ran).
    """
    emptied: dict[int, Tensor] = {}
    try:
        for module in model.modules():
            own = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())  # noqa: SLF001
            for tensor in own:
                if isinstance(tensor, Tensor) and id(tensor) not in emptied:
                    emptied[id(tensor)] = _empty(tensor)
        return copy.deepcopy(model, dict(emptied))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise RefusalError(f"the model cannot be copied: {first_line(error)}") from error


def _empty(tensor: Tensor) -> Tensor:
    if nn.parameter.is_lazy(tensor):
        raise RefusalError("the model has lazy layers; run it once before")
    empty = torch.empty_like(tensor, device="meta", requires_grad=False)
    return nn.Parameter(empty, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


@contextmanager
def quick_norms(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation on the meta device check shapes and no more: torch's own takes most of a run there."""
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS) and is_layer(module)]
    for norm in norms:
        norm.__dict__["forward"] = partial(_normalised, norm)
    try:
        yield
    finally:
        for norm in norms:
            del norm.__dict__["forward"]


def _normalised(norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d, x: Tensor) -> Tensor:
    """Return an empty tensor of the shape of `x`, if batch normalisation would accept it."""
    norm._check_input_dim(x)  # noqa: SLF001
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        if tensor is not None and tensor.shape != x.shape[1:2]:
            raise ValueError(f"batch normalisation of {tensor.shape[0]} channels does not take {x.shape[1]}")
    if norm.training and x.numel() == x.shape[1]:
        raise ValueError(f"batch normalisation needs more than 1 value per channel when training, not {tuple(x.shape)}")
    return torch.empty_like(x)


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or its name if it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
