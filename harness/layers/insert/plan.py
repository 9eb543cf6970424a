"""What must change to put a compressor behind a module, or why it cannot."""

from dataclasses import dataclass

from torch import nn

from harness.layers.insert.chain import before_activation, maker_of
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.follow import Changes, Followed, follow, merge
from harness.layers.insert.network import Network
from harness.layers.insert.trace import Step, Trace, Value


@dataclass(frozen=True)
class Plan:
    """Behind which module a compressor's layer is, how many channels there are, and which layers change.

    `certain`: the network with fewer channels need not be tried (`follow.Followed`).
    """

    at: str
    channels: int
    height: int
    width: int
    changes: Changes
    certain: bool


def make_plan(network: Network, path: str, *, before_relu: bool = False, narrow: bool = False) -> Plan:
    """Return what a compressor behind `path` needs.

    Args:
        network: where it is to go.
        path: of a module that returns maps (N, C, H, W).
        before_relu: it is before the activation with which `path` ends.
        narrow: the convolution that makes the channels makes fewer itself.

    Raises:
        RefusalError: it cannot go there.
    """
    _find_exits(network, path)
    if before_relu:
        called = [trace for trace in network.traces if path in trace.exits]
        ends = {before_activation(network, trace, path) for trace in called}
        if len(ends) > 1:
            raise RefusalError("training and evaluation have other activations before its end")
        (path,) = ends
    exits = _find_exits(network, path)
    found: dict[int, Followed] = {}
    for position, leaving in exits.items():
        trace, out = network.traces[position], leaving.outputs[0]
        maker = None
        if narrow:
            maker = _find_maker(network, trace, out)
        found[position] = follow(network, trace, out if maker is None else maker.outputs[0], maker)
    merged = merge(network, {position: followed.changes for position, followed in found.items()})
    if not any(change.reads for change in merged.values()):
        raise RefusalError("no convolution and no linear layer reads its channels")
    channels, height, width = next(iter(exits.values())).outputs[0].shape[1:]
    return Plan(path, channels, height, width, merged, all(followed.certain for followed in found.values()))


def _find_maker(network: Network, trace: Trace, out: Value) -> Step:
    """Return the call that makes the channels of a site's output, one for one, in dimension 1."""
    maker = maker_of(network, trace, out)
    if maker is not None:
        made = maker.outputs[0].shape
        linear = isinstance(network.modules[maker.name], nn.Linear)
        if made[1:2] == out.shape[1:2] and (not linear or len(made) == 2):
            return maker
    raise RefusalError("no plain convolution makes its channels for it alone, which could make fewer")


def _find_exits(network: Network, path: str) -> dict[int, Step]:
    """Return the one exit of a module in each trace (by its position) in which it is called."""
    found: dict[int, Step] = {}
    for position, trace in enumerate(network.traces):
        exits = trace.exits.get(path, [])
        if len(exits) > 1:
            raise RefusalError(f"it is called {len(exits)} times in a pass")
        if exits:
            found[position] = exits[0]
    if not found:
        raise RefusalError("it is not called in a pass" if path else "it is the model itself")
    outputs = {step.outputs for step in found.values()}
    if any(len(values) != 1 or len(values[0].shape) != 4 for values in outputs):
        raise RefusalError("it does not return maps (N, C, H, W) alone")
    if len({values[0].shape for values in outputs}) > 1:
        raise RefusalError("training and evaluation give its output other shapes")
    return found
