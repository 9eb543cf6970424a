"""A network's twin on the meta device: the same modules and shapes, no values and no storage."""

import copy

import torch
from torch import Tensor, nn

from harness.layers.insert.errors import RefusalError


def meta_twin(model: nn.Module) -> nn.Module:
    """Return a copy of `model` whose parameters, buffers and other tensor attributes lie on the meta device.

    What two modules share they share in the copy too. Nothing is allocated but the modules themselves.

    Raises:
        RefusalError: the model cannot be copied, or has parameters without a shape (lazy modules that never ran).
    """
    twins: dict[int, Tensor] = {}
    try:
        for module in model.modules():
            own = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())  # noqa: SLF001
            for tensor in own:
                if isinstance(tensor, Tensor) and id(tensor) not in twins:
                    twins[id(tensor)] = _empty(tensor)
        return copy.deepcopy(model, dict(twins))
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise RefusalError(f"the model cannot be copied: {first_line(error)}") from error


def _empty(tensor: Tensor) -> Tensor:
    if nn.parameter.is_lazy(tensor):
        raise RefusalError("the model has lazy layers; run it once before")
    empty = torch.empty_like(tensor, device="meta", requires_grad=False)
    return nn.Parameter(empty, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or its name where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
