"""What a layer with weights does when its input loses channels: it reads them all, or treats each by itself."""

from dataclasses import dataclass
from typing import cast

from torch import nn

from harness.layers.insert.axis import Axis
from harness.layers.insert.errors import RefusalError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
NORMS = (*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm)
LAYERS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear, *NORMS, nn.PReLU)


@dataclass(frozen=True)
class Change:
    """What is to happen to a layer. Each axis is that of the dimension concerned, as it is before."""

    reads: Axis | None = None  # the input of a convolution or linear layer
    makes: Axis | None = None  # its output
    each: Axis | None = None  # input of a layer that keeps channels apart: normalisation, depthwise convolution, PReLU

    def axes(self) -> list[tuple[str, Axis]]:
        """Return what changes, by name."""
        named = (("reads", self.reads), ("makes", self.makes), ("each", self.each))
        return [(name, axis) for name, axis in named if axis is not None]


@dataclass(frozen=True)
class Tracked:
    """Where in a tensor the site's channels are: along dimension `dim`, which consists of `axis`."""

    dim: int
    axis: Axis


def is_layer(module: nn.Module) -> bool:
    """Return whether a module is one of `LAYERS`, or a subclass that computes the same."""
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in LAYERS)


def pass_layer(module: nn.Module, tracked: Tracked, ndim: int) -> tuple[Change, Tracked | None]:
    """Return what a layer that reads a tensor of `ndim` dimensions changes in, and where its output has the channels.

    Raises:
        RefusalError: the layer cannot do with fewer channels.
    """
    if isinstance(module, nn.Linear):
        if tracked.dim != ndim - 1:
            raise RefusalError("is a linear layer along another dimension than that of the channels")
        return Change(reads=tracked.axis), None
    if tracked.dim != 1:
        raise RefusalError("does not find the channels in dimension 1")
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return _pass_convolution(cast("nn.Conv2d", module), tracked)
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        return Change(), tracked
    return Change(each=tracked.axis), tracked


def _pass_convolution(module: nn.Conv2d, tracked: Tracked) -> tuple[Change, Tracked | None]:
    if module.groups == 1:
        return Change(reads=tracked.axis), None
    if module.groups != module.in_channels or isinstance(module, TRANSPOSED):
        raise RefusalError(f"is a grouped convolution ({module.groups} groups)")
    made = tracked.axis.times(module.out_channels // module.in_channels)
    return Change(each=tracked.axis), Tracked(1, made)
