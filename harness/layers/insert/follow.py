"""From a site's channels to every layer that has to change with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from torch import nn

from harness.layers.insert.axis import Axis
from harness.layers.insert.chain import maker_of
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.layers import Change, Tracked, pass_layer
from harness.layers.insert.network import Network
from harness.layers.insert.operations import GateError, pass_function, writes_sizes
from harness.layers.insert.trace import Step, Trace, Value

Changes = dict[str, Change]


@dataclass(frozen=True)
class Followed:
    """The layers that change with a site's channels in one trace, in the order of their calls.

    `certain`: no Python code asks for the sizes of a tensor with these channels, nor of a parameter, and no call on
    the way has sizes written in it. Then the network with fewer channels does the same steps, whatever it is; else
    it must be tried.
    """

    changes: Changes
    certain: bool


def follow(network: Network, trace: Trace, start: Value, maker: Step | None) -> Followed:
    """Return the layers that change when the channels of `start` become fewer.

    Where the channels are multiplied by as many that were computed from them (squeeze and excitation), the layer that
    makes these is narrowed as well.

    Args:
        network: whose trace it is.
        trace: in one mode.
        start: maps (N, C, H, W).
        maker: the convolution that makes `start` and is narrowed itself, if one is.

    Raises:
        RefusalError: something cannot do with fewer channels.
    """
    axis = Axis.of_site(start.shape[1])
    starts = {start: Tracked(1, axis)}
    makes = {} if maker is None else {maker.name: axis}
    while True:
        follower = _Follower(network, trace, starts)
        try:
            changes = follower.run()
        except GateError as gate:
            gate_maker = _maker_of_gate(network, trace, start, gate)
            out = gate_maker.outputs[0]
            if out in starts:
                raise RefusalError(f"{gate.step} multiplies its channels by themselves in another order") from gate
            linear = isinstance(network.modules[gate_maker.name], nn.Linear)
            starts[out] = Tracked(len(out.shape) - 1 if linear else 1, gate.axis)
            makes[gate_maker.name] = gate.axis
            continue
        return Followed(_with_makers(network, trace, changes, makes), follower.certain)


def merge(network: Network, found: Mapping[int, Changes]) -> Changes:
    """Return what changes in all traces, by the traces' positions; they must not contradict each other.

    Raises:
        RefusalError: a layer would change in another way, or not at all, in another mode.
    """
    merged: Changes = {}
    for changes in found.values():
        merged |= changes
    for position, trace in enumerate(network.traces):
        changes = found.get(position, {})
        for path, change in merged.items():
            if path in trace.layers and changes.get(path) != change:
                raise RefusalError(f"'{path}' reads its channels in one of the modes training and evaluation only")
    return merged


class _Follower:
    """One walk along a trace, in the order of its steps, over those alone that are concerned."""

    def __init__(self, network: Network, trace: Trace, starts: Mapping[Value, Tracked]) -> None:
        self._network, self._trace = network, trace
        self._tracked: dict[Value, Tracked] = {}
        self._waiting: list[int] = []
        self._starts = starts
        self._changes: Changes = {}
        self._calls: dict[str, int] = {}
        self.certain = not trace.asks_parameters

    def run(self) -> Changes:
        for value, tracked in self._starts.items():
            self._track(value, tracked)
        last = -1
        while self._waiting:
            index = heappop(self._waiting)
            if index != last:
                self._step(self._trace.steps[index])
            last = index
        for path, calls in self._calls.items():
            if calls != len(self._trace.layers[path]):
                raise RefusalError(f"'{path}' reads its channels, and others too")
        return self._changes

    def _track(self, value: Value, tracked: Tracked) -> None:
        if value in self._trace.outputs:
            raise RefusalError("its channels reach the output of the model")
        if len(value.shape) <= tracked.dim or value.shape[tracked.dim] != tracked.axis.size:
            raise RefusalError(f"its channels cannot be told in a tensor of shape {value.shape}")
        self._tracked[value] = tracked
        self.certain = self.certain and value not in self._trace.asked
        for step in self._trace.users[value]:
            heappush(self._waiting, step.index)

    def _step(self, step: Step) -> None:
        if step.kind == "exit":
            if len(step.outputs) == 1:
                self._reach(step.outputs[0], self._tracked[step.inputs[0]])
        elif step.kind == "layer":
            self._layer(step)
        else:
            self.certain = self.certain and not writes_sizes(step)
            for value, tracked in zip(step.outputs, pass_function(step, self._tracked), strict=True):
                self._reach(value, tracked)

    def _reach(self, value: Value, tracked: Tracked | None) -> None:
        if value in self._starts:
            if tracked is not None and tracked != self._starts[value]:
                raise RefusalError("its channels meet themselves in another order")
        elif tracked is not None:
            self._track(value, tracked)

    def _layer(self, step: Step) -> None:
        if len(step.inputs) != 1:
            raise RefusalError(f"{step} takes several tensors")
        tracked = self._tracked[step.inputs[0]]
        module = self._network.modules[step.name]
        try:
            change, passed = pass_layer(module, tracked, len(step.inputs[0].shape))
        except RefusalError as refusal:
            raise RefusalError(f"'{step.name}' reads its channels and {refusal}") from refusal
        if change != Change():
            self._calls[step.name] = self._calls.get(step.name, 0) + 1
            if self._changes.setdefault(step.name, change) != change:
                raise RefusalError(f"'{step.name}' reads its channels in several orders")
            check_changeable(self._network, step.name)
        self._reach(step.outputs[0], passed)


def check_changeable(network: Network, path: str) -> None:
    """Raise RefusalError unless a layer's weights are its own."""
    module = network.modules[path]
    if path in network.sharing:
        raise RefusalError(f"'{path}' shares a parameter with another module")
    own = {*dict(module.named_parameters(recurse=False)), *dict(module.named_buffers(recurse=False))}
    known = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    if not own <= known or (hasattr(module, "weight") and "weight" not in module._parameters):  # noqa: SLF001
        raise RefusalError(f"'{path}' has a parametrised weight")


def _maker_of_gate(network: Network, trace: Trace, start: Value, gate: GateError) -> Step:
    reason = f"{gate.step} multiplies its channels by as many that"
    if gate.value not in _reached(trace, start):
        raise RefusalError(f"{reason} do not come from it")
    maker = maker_of(network, trace, gate.value) if trace.has_one_reader(gate.value) else None
    if maker is None:
        raise RefusalError(f"{reason} no single layer makes")
    return maker


def _reached(trace: Trace, start: Value) -> set[Value]:
    reached = {start}
    for step in trace.steps:
        if not reached.isdisjoint(step.inputs):
            reached.update(step.outputs)
    return reached


def _with_makers(network: Network, trace: Trace, changes: Changes, makes: Mapping[str, Axis]) -> Changes:
    for path, axis in makes.items():
        if len(trace.layers[path]) != 1:
            raise RefusalError(f"'{path}', which makes its channels, is called {len(trace.layers[path])} times")
        check_changeable(network, path)
        known = changes.get(path, Change())
        changes[path] = Change(known.reads, axis, known.each)
    order = {path: steps[0].index for path, steps in trace.layers.items()}
    return dict(sorted(changes.items(), key=lambda item: order[item[0]]))
