"""Trying compressors in a network's twin: whether, with fewer channels, it does the same steps and returns the same."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from harness.layers.insert.axis import Reduction
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.install import install
from harness.layers.insert.network import Network, record_modes
from harness.layers.insert.plan import Plan
from harness.layers.insert.rewire import rewire
from harness.layers.insert.trace import Trace
from harness.layers.insert.twin import meta_twin


@dataclass(frozen=True)
class Insertion:
    """What is to be done at one site: which layers change how, and what stands there."""

    plan: Plan
    layer: nn.Module
    reduction: Reduction

    @classmethod
    def plain(cls, plan: Plan, layer: nn.Module, stride: int) -> "Insertion":
        """Return that of a layer which makes one channel of `stride` neighbours; the weights of the first stay."""
        return cls(plan, layer, Reduction(plan.channels, tuple(range(0, plan.channels, stride))))


def attempt(network: Network, insertions: Iterable[Insertion], input_shape: Sequence[int]) -> Network:
    """Change a copy of a network's twin at sites that have no layer in common, run it, and return it.

    Raises:
        RefusalError: it does not run, does other steps, or returns other shapes, in one of both modes.
    """
    twin = deepcopy(network.twin)
    own = []
    for insertion in insertions:
        rewire(twin, insertion.plan.changes, insertion.reduction, "slice")
        own.append(install(twin, insertion.plan.at, meta_twin(insertion.layer)))
    try:
        traces = record_modes(twin, input_shape)
    except RefusalError as refusal:
        raise RefusalError(f"with fewer channels the model does not run, {refusal}") from refusal
    for before, after in zip(network.traces, traces, strict=True):
        if _steps(before, ()) != _steps(after, own):
            raise RefusalError("with fewer channels the model does something else")
        if [value.shape for value in before.outputs] != [value.shape for value in after.outputs]:
            raise RefusalError("with fewer channels the model returns another shape")
    return Network(twin, traces)


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
    """Return insertions in groups, in each of which no two change the same layer.

    What compressors do at such sites has nothing to do with each other: a site that lies on the way from another to
    its readers has readers in common with it.
    """
    groups: list[tuple[set[str], list[Insertion]]] = []
    for insertion in insertions:
        for taken, group in groups:
            if taken.isdisjoint(insertion.plan.changes):
                taken.update(insertion.plan.changes)
                group.append(insertion)
                break
        else:
            groups.append((set(insertion.plan.changes), [insertion]))
    return [group for _, group in groups]


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
