"""What fewer channels at a site save, counted from the layers that change, without building the changed network.

A convolution and a linear layer multiply each of their weights as often as before: once at each position of the output
(of the input, for a transposed convolution). So what is saved at a layer is the weights that go, times positions.
Functions that multiply matrices let no site's channels through (`operations`), so nothing else changes its count.
"""

from math import prod
from typing import NamedTuple

from torch import nn

from harness.layers.insert.layers import CONVOLUTIONS, TRANSPOSED, Change
from harness.layers.insert.network import Network
from harness.layers.insert.plan import Plan
from harness.layers.insert.trace import BATCH, Step, Trace


class Saving(NamedTuple):
    """Of the whole network; what the compressor itself costs is not counted."""

    parameters: int  # trainable
    macs: int  # of convolutions and matrix products, for one image in evaluation


def saving(network: Network, plan: Plan, groups: int) -> Saving:
    """Return what is saved when of the `plan.channels` channels of a site `groups` are left."""
    parameters, macs = 0, 0
    evaluation = network.traces[0]
    for path, change in plan.changes.items():
        module = network.modules[path]
        for name, parameter in module.named_parameters(recurse=False):
            gone = parameter.numel() - _left(parameter.shape, name, module, change, groups)
            parameters += gone if parameter.requires_grad else 0
            if name == "weight":
                macs += gone * _positions(module, evaluation, path)
    return Saving(parameters, macs)


def macs_of_layers(network: Network) -> int:
    """Return the multiply-accumulates of all convolutions and linear layers, for one image in evaluation."""
    trace = network.traces[0]
    return sum(
        module.weight.numel() * _positions(module, trace, path)
        for path, module in network.modules.items()
        if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED, nn.Linear))
    )


def _left(shape: tuple[int, ...], name: str, module: nn.Module, change: Change, groups: int) -> int:
    """Return how many entries of a parameter of `shape` are left."""
    sizes = list(shape)
    if change.reads is not None and name == "weight":
        sizes[0 if isinstance(module, TRANSPOSED) else 1] = change.reads.left(groups)
    if change.makes is not None:
        sizes[0] = change.makes.left(groups)
    if change.each is not None:
        sizes[0] = sizes[0] // change.each.size * change.each.left(groups)
    return prod(sizes)


def _positions(module: nn.Module, trace: Trace, path: str) -> int:
    return sum(_positions_of(module, step) for step in trace.layers.get(path, []))


def _positions_of(module: nn.Module, step: Step) -> int:
    """Return how often a call of a layer uses each of its weights for a product, for one image."""
    shape = (step.inputs if isinstance(module, TRANSPOSED) else step.outputs)[0].shape
    if isinstance(module, nn.Linear):
        return prod(shape[:-1]) // BATCH  # (N, …, features)
    return shape[0] * prod(shape[2:]) // BATCH if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)) else 0
