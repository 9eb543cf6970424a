"""Where in a network a compressor can stand, and why not elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from harness.layers.insert.errors import RefusalError
from harness.layers.insert.network import Network
from harness.layers.insert.plan import Plan, make_plan
from harness.spec.errors import HarnessError


@dataclass(frozen=True)
class SiteInfo:
    """A module behind which a compressor can stand."""

    path: str
    kind: str  # the module's class
    channels: int
    height: int
    width: int
    narrowable: bool  # may the convolution that makes the channels simply make fewer?
    activated: str | None  # behind which module a compressor stands that belongs before the activation, if one can
    readers: tuple[str, ...]  # the layers that change: convolutions, linear layers, and normalisation on the way


def list_sites(model: nn.Module, input_shape: Sequence[int]) -> list[SiteInfo]:
    """Return the modules behind which `insert_after` can put a compressor, in the order of `named_modules`.

    Args:
        model: takes one tensor (N, *input_shape); is left as it is.
        input_shape: of one input, (C, H, W).

    Raises:
        HarnessError: the model does not run on the meta device, as where control flow depends on values.
    """
    network = _look_at(model, input_shape)
    plans = {path: _plan_or_reason(network, path) for path in network.modules if path}
    return [_describe(network, path, plan) for path, plan in plans.items() if isinstance(plan, Plan)]


def refused_sites(model: nn.Module, input_shape: Sequence[int]) -> dict[str, str]:
    """Return why no compressor can stand behind each of the other modules, by path; arguments as for `list_sites`.

    Raises:
        HarnessError: the model does not run on the meta device.
    """
    network = _look_at(model, input_shape)
    reasons = {path: _plan_or_reason(network, path) for path in network.modules if path}
    return {path: reason for path, reason in reasons.items() if isinstance(reason, str)}


def _look_at(model: nn.Module, input_shape: Sequence[int]) -> Network:
    try:
        return Network.of(model, input_shape)
    except RefusalError as refusal:
        raise HarnessError(str(refusal)) from refusal


def _plan_or_reason(network: Network, path: str) -> Plan | str:
    return _or_reason(lambda: make_plan(network, path))


def _or_reason(make: Callable[[], Plan]) -> Plan | str:
    try:
        return make()
    except RefusalError as refusal:
        return str(refusal)


def _describe(network: Network, path: str, plan: Plan) -> SiteInfo:
    before = _or_reason(lambda: make_plan(network, path, before_relu=True))
    return SiteInfo(
        path,
        type(network.modules[path]).__name__,
        plan.channels,
        plan.height,
        plan.width,
        isinstance(_or_reason(lambda: make_plan(network, path, narrow=True)), Plan),
        before.at if isinstance(before, Plan) else None,
        tuple(plan.changes),
    )
