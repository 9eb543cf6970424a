"""Trying compressors in a copy of a network: whether, with fewer channels, it does the same steps, returns the same."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from harness.layers.insert.axis import Reduction
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.install import install
from harness.layers.insert.layers import Change
from harness.layers.insert.meta_copy import meta_copy
from harness.layers.insert.network import Network, record_modes
from harness.layers.insert.plan import Plan
from harness.layers.insert.rewire import rewire
from harness.layers.insert.trace import Trace


@dataclass(frozen=True)
class Insertion:
    """What is to be done at one site: which layers change how, and what is there."""

    path: str
    plan: Plan
    layer: nn.Module
    reduction: Reduction

    @classmethod
    def plain(cls, path: str, plan: Plan, layer: nn.Module, stride: int) -> "Insertion":
        """Return that of a layer which makes one channel of `stride` neighbours; the weights of the first stay."""
        return cls(path, plan, layer, Reduction(plan.channels, tuple(range(0, plan.channels, stride))))


def attempt(network: Network, insertions: Iterable[Insertion], input_shape: Sequence[int]) -> Network:
    """Change another copy of a network at sites that are `apart`, run it, and return it.

    Raises:
        RefusalError: it does not run, does other steps, or returns other shapes, in one of both modes.
    """
    meta = deepcopy(network.meta)
    own = []
    for insertion in insertions:
        rewire(meta, insertion.plan.changes, insertion.reduction, "slice")
        own.append(install(meta, insertion.plan.at, meta_copy(insertion.layer)))
    try:
        traces = record_modes(meta, input_shape)
    except RefusalError as refusal:
        raise RefusalError(f"with fewer channels the model does not run, {refusal}") from refusal
    for before, after in zip(network.traces, traces, strict=True):
        if _steps(before, ()) != _steps(after, own):
            raise RefusalError("with fewer channels the model does something else")
        if [value.shape for value in before.outputs] != [value.shape for value in after.outputs]:
            raise RefusalError("with fewer channels the model returns another shape")
    return Network(meta, traces)


def attempts(
    network: Network, insertions: Iterable[Insertion], input_shape: Sequence[int]
) -> Iterator[tuple[list[Insertion], Network | str]]:
    """Try insertions, as many at a time as have nothing to do with each other; those of a group that fails, alone.

    Yields:
        insertions with the network that has them all, or with the reason why it does not work.
    """
    for group in apart(insertions):
        outcome = _outcome(network, group, input_shape)
        if isinstance(outcome, str) and len(group) > 1:
            yield from (([alone], _outcome(network, [alone], input_shape)) for alone in group)
        else:
            yield group, outcome


def apart(insertions: Iterable[Insertion]) -> list[list[Insertion]]:
    """Return insertions in groups whose sites have nothing to do with each other, to be made in the groups' order.

    Two sites of a group change different layers, or other entries of the same dimension of one, as those do whose maps
    are concatenated. So neither lies on the way from the other to its readers: it would have all its entries there.
    """
    groups: list[_Group] = []
    for insertion in insertions:
        if not any(group.takes(insertion) for group in groups):
            groups.append(_Group())
            groups[-1].takes(insertion)
    return [group.insertions for group in groups]


class _Group:
    """Insertions and, for each layer that they change, in which dimension, whose entries, and which are left."""

    def __init__(self) -> None:
        self.insertions: list[Insertion] = []
        self._layers: dict[str, tuple[str, Tensor, Tensor]] = {}

    def takes(self, insertion: Insertion) -> bool:
        """Take an insertion, if it goes with those that are here, as it must be made after them."""
        changes = insertion.plan.changes
        if not all(self._agrees(path, change) for path, change in changes.items() if path in self._layers):
            return False
        after = {path: self._after(path, change, insertion.reduction) for path, change in changes.items()}
        self.insertions.append(replace(insertion, plan=replace(insertion.plan, changes=after)))
        return True

    def _agrees(self, path: str, change: Change) -> bool:
        dimension, taken, _ = self._layers[path]
        ((other, axis), *more) = change.axes()
        return not more and other == dimension and not bool((axis.entries_of_site() & taken).any())

    def _after(self, path: str, change: Change, reduction: Reduction) -> Change:
        ((dimension, axis), *more) = change.axes()
        kept = torch.zeros(axis.size, dtype=torch.bool, device="cpu")
        kept[reduction.kept_entries(axis)] = True
        if path in self._layers:
            _, taken, left = self._layers[path]
            self._layers[path] = (dimension, taken | axis.entries_of_site(), left & kept)
            return Change(**{dimension: axis.among(left)})
        self._layers[path] = ("several" if more else dimension, axis.entries_of_site(), kept)
        return change


def _outcome(network: Network, insertions: Sequence[Insertion], input_shape: Sequence[int]) -> Network | str:
    try:
        return attempt(network, insertions, input_shape)
    except RefusalError as refusal:
        return str(refusal)


def _steps(trace: Trace, own: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the kinds, names and places of all steps but those of the modules at `own`."""
    within = {*own}
    return [
        (step.kind, step.name, step.inside)
        for step in trace.steps
        if not (_is_within(step.inside, within) or _is_within(step.name, within))
    ]


def _is_within(path: str, modules: set[str]) -> bool:
    while path and modules:
        if path in modules:
            return True
        path = path.rpartition(".")[0]
    return False
