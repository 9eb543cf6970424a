"""Where in a network a compressor can go, and why not elsewhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from harness.base.errors import HarnessError
from harness.layers.insert.attempt import Insertion, attempts
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.install import place_behind
from harness.layers.insert.network import Network
from harness.layers.insert.plan import Plan, make_plan
from harness.layers.insert.rewire import check_fits
from harness.layers.spatial import ChannelPool

Found = dict[str, Plan | str]
"""What a compressor behind each path needs, or why it cannot go there."""


@dataclass(frozen=True)
class SiteInfo:
    """A module behind which a compressor can go."""

    path: str
    kind: str  # the module's class
    channels: int
    height: int
    width: int
    narrowable: bool  # may the convolution that makes the channels simply make fewer?
    activated: str | None  # behind which module a compressor is that belongs before the activation, if one can
    readers: tuple[str, ...]  # the layers that change: convolutions, linear layers, and normalisation on the way


def list_sites(model: nn.Module, input_shape: Sequence[int]) -> list[SiteInfo]:
    """Return the modules behind which `insert_after` can put a compressor, in the order of `named_modules`.

    The model is traced once. Where that leaves it open whether it works with fewer channels, because sizes are asked
    for or written into the code, feature pooling is tried with the smallest stride that can be.

    Args:
        model: takes one tensor (N, *input_shape); is left as it is.
        input_shape: of one input, (C, H, W).

    Raises:
        HarnessError: the model does not run on the meta device, as where control flow depends on values.
    """
    survey = Survey.of(model, input_shape)
    sites = survey.sites
    narrowed = survey.look(sites, narrow=True)
    before = survey.look(sites, before_relu=True)
    return [
        SiteInfo(
            path,
            type(survey.network.modules[path]).__name__,
            plan.channels,
            plan.height,
            plan.width,
            isinstance(narrowed[path], Plan),
            ahead.at if isinstance(ahead := before[path], Plan) else None,
            tuple(plan.changes),
        )
        for path, plan in sites.items()
    ]


def refused_sites(model: nn.Module, input_shape: Sequence[int]) -> dict[str, str]:
    """Return why no compressor can go behind each of the other modules, by path; arguments as for `list_sites`.

    Raises:
        HarnessError: the model does not run on the meta device.
    """
    return Survey.of(model, input_shape).refused


@dataclass(frozen=True)
class Survey:
    """A network, traced once, and what was found behind its modules."""

    network: Network
    input_shape: tuple[int, ...]

    @classmethod
    def of(cls, model: nn.Module, input_shape: Sequence[int]) -> "Survey":
        """Look at `model` for inputs (N, *input_shape).

        Raises:
            HarnessError: it does not run on the meta device.
        """
        try:
            return cls(Network.of(model, input_shape), tuple(input_shape))
        except RefusalError as refusal:
            raise HarnessError(str(refusal)) from refusal

    @cached_property
    def found(self) -> Found:
        """What is behind each module."""
        return self.look(path for path in self.network.modules if path)

    @cached_property
    def sites(self) -> dict[str, Plan]:
        """What a compressor needs behind the modules where one can go."""
        return {path: plan for path, plan in self.found.items() if isinstance(plan, Plan)}

    @cached_property
    def refused(self) -> dict[str, str]:
        """Why none can go behind the others."""
        return {path: reason for path, reason in self.found.items() if isinstance(reason, str)}

    def look(self, paths: Iterable[str], *, before_relu: bool = False, narrow: bool = False) -> Found:
        """Return what a compressor needs behind each of `paths`, arguments as for `make_plan`."""

        def plan(path: str) -> Plan:
            made = make_plan(self.network, path, before_relu=before_relu, narrow=narrow)
            place_behind(self.network.meta, made.at)
            smallest_stride(self.network, made)
            return made

        found = {path: _or_reason(plan, path) for path in paths}
        doubtful = {path: made for path, made in found.items() if isinstance(made, Plan) and not made.certain}
        return {**found, **self._failing(doubtful, narrow=narrow)}

    def _failing(self, plans: Mapping[str, Plan], *, narrow: bool) -> dict[str, str]:
        insertions = (self._smallest(path, plan, narrow=narrow) for path, plan in plans.items())
        tries = attempts(self.network, insertions, self.input_shape)
        return {tried[0].path: outcome for tried, outcome in tries if isinstance(outcome, str)}

    def _smallest(self, path: str, plan: Plan, *, narrow: bool) -> Insertion:
        stride = smallest_stride(self.network, plan)
        return Insertion.plain(
            path, plan, nn.Identity() if narrow else ChannelPool(stride).layer(plan.channels), stride
        )


def smallest_stride(network: Network, plan: Plan) -> int:
    """Return the smallest stride above 1 that a compressor can have.

    Raises:
        RefusalError: none can be.
    """
    reason = RefusalError("its one channel cannot become fewer")
    for stride in (s for s in range(2, plan.channels + 1) if plan.channels % s == 0):
        try:
            check_fits(network, plan.changes, plan.channels // stride)
        except RefusalError as refusal:
            reason = refusal
            continue
        return stride
    raise reason


def _or_reason(plan: Callable[[str], Plan], path: str) -> Plan | str:
    try:
        return plan(path)
    except RefusalError as refusal:
        return str(refusal)
