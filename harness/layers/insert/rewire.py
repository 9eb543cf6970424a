"""Changing layers for fewer channels: the weights that stay, those that are added up, or new ones."""

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from harness.layers.insert.axis import Axis, Reduction
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.follow import Changes
from harness.layers.insert.layers import BATCH_NORMS, CONVOLUTIONS, INSTANCE_NORMS, TRANSPOSED, Change
from harness.layers.insert.network import Network
from harness.layers.memory_format import like_input

Weights = Literal["slice", "fold", "fresh"]


def rewire(model: nn.Module, changes: Changes, reduction: Reduction, weights: Weights) -> None:
    """Change layers of `model` in place, so that they work with a site's channels reduced.

    With "slice" a layer keeps, of each group of channels, the weights of the one in `reduction.kept`; with "fold" a
    layer that reads the channels has the sum of the group's weights instead; with "fresh" each of the layers starts
    again by its own `reset_parameters`. Parameters keep their names, device, dtype and `requires_grad`.

    Raises:
        RefusalError: the groups of a group normalisation do not divide the channels that are left.
    """
    for path, change in changes.items():
        module = model.get_submodule(path)
        with torch.no_grad():
            try:
                _narrow(module, change, reduction, fold=weights == "fold")
            except RefusalError as refusal:
                raise RefusalError(f"'{path}' {refusal}") from refusal
        if weights == "fresh":
            cast("Any", module).reset_parameters()


def check_fits(network: Network, changes: Changes, groups: int) -> None:
    """Raise RefusalError unless group normalisation can do with `groups` of the site's channels."""
    for path, change in changes.items():
        if change.each is not None:
            try:
                _check_groups(network.modules[path], change.each.left(groups))
            except RefusalError as refusal:
                raise RefusalError(f"'{path}' {refusal}") from refusal


def _check_groups(module: nn.Module, channels: int) -> None:
    if isinstance(module, nn.GroupNorm) and channels % module.num_groups:
        raise RefusalError(f"has {module.num_groups} groups, which do not divide {channels} channels")


def _narrow(module: nn.Module, change: Change, reduction: Reduction, *, fold: bool) -> None:
    if change.reads is not None:
        _narrow_input(module, change.reads, reduction, fold=fold)
    if change.makes is not None:
        _narrow_output(module, change.makes, reduction)
    if change.each is not None:
        _narrow_each(module, change.each, reduction)


def _narrow_input(module: nn.Module, axis: Axis, reduction: Reduction, *, fold: bool) -> None:
    dim = 0 if isinstance(module, TRANSPOSED) else 1
    kept = reduction.kept_entries(axis)

    def add_up(weight: Tensor) -> Tensor:
        shape = list(weight.shape)
        shape[dim] = len(kept)
        return weight.new_zeros(shape).index_add_(dim, reduction.new_entries(axis).to(weight.device), weight)

    _replace(module, "weight", add_up if fold else _selector(dim, kept))
    setattr(module, "in_features" if isinstance(module, nn.Linear) else "in_channels", len(kept))


def _narrow_output(module: nn.Module, axis: Axis, reduction: Reduction) -> None:
    kept = reduction.kept_entries(axis)
    for name in ("weight", "bias"):
        _replace(module, name, _selector(0, kept))
    setattr(module, "out_features" if isinstance(module, nn.Linear) else "out_channels", len(kept))


def _narrow_each(module: nn.Module, axis: Axis, reduction: Reduction) -> None:
    """Normalisation, PReLU, and depthwise convolutions, which make a multiple of the channels that they read."""
    count = len(reduction.kept_entries(axis))
    if isinstance(module, CONVOLUTIONS):
        multiple = module.out_channels // module.in_channels
        axis = axis.times(multiple)
        module.in_channels, module.groups, module.out_channels = count, count, count * multiple
    elif isinstance(module, (*BATCH_NORMS, *INSTANCE_NORMS)):
        module.num_features = count
    elif isinstance(module, nn.GroupNorm):
        _check_groups(module, count)
        module.num_channels = count
    elif isinstance(module, nn.PReLU):
        module.num_parameters = count
    for name in ("weight", "bias", "running_mean", "running_var"):
        _replace(module, name, _selector(0, reduction.kept_entries(axis)))


def _selector(dim: int, kept: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.index_select(dim, kept.to(tensor.device))


def _replace(module: nn.Module, name: str, change: Callable[[Tensor], Tensor]) -> None:
    """Put a changed copy in the place of a parameter or buffer, if the module has it."""
    old = getattr(module, name, None)
    if old is None:
        return
    new = change(old.detach())
    if old.ndim == 4:
        new = like_input(new, old)
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    setattr(module, name, new)
