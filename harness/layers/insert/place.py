"""`insert_after`: a compressor behind a module of any network, and all that reads its channels made to fit."""

from collections.abc import Sequence
from copy import deepcopy
from typing import get_args

from torch import nn

from harness.base.errors import HarnessError, did_you_mean
from harness.layers.compressor import Compressor, place_of
from harness.layers.insert.attempt import Insertion, attempt
from harness.layers.insert.axis import Reduction
from harness.layers.insert.errors import RefusalError
from harness.layers.insert.install import install
from harness.layers.insert.meta_copy import first_line
from harness.layers.insert.network import Network
from harness.layers.insert.plan import Plan, make_plan
from harness.layers.insert.rewire import Weights, rewire
from harness.layers.random_channel import RandomChannel2d


def insert_after(
    model: nn.Module,
    path: str,
    compressor: Compressor,
    *,
    input_shape: Sequence[int],
    weights: Weights = "slice",
    copy: bool = True,
) -> nn.Module:
    """Put a compressor behind a module of any network, and give the layers that read its channels fewer of them.

        model = insert_after(resnet50(), "layer1", ChannelPool(stride=2), input_shape=(3, 224, 224))

    Which layers these are is found by a run without values, on the meta device, in both modes; the changed network runs
    there once more before anything is returned. Everything keeps its name; parameters of other layers keep their values
    to the bit. The compressor's own names begin with `PATH.inserted` (docs/insert.md).

    Args:
        model: takes one tensor (N, *input_shape); its control flow may depend on shapes, not on values.
        path: of a module that returns maps (N, C, H, W) and is called once in a pass.
        compressor: whose stride divides C.
        input_shape: of one input, (C, H, W).
        weights: of the layers that lose channels. "slice": of each group of neighbours those of the first channel (of
            the one that is kept, for `RandomChannel`). "fold": the sum over the group if channels are read. "fresh":
            by the layer's `reset_parameters`, which draws from torch's own generator.
        copy: leave `model` as it is; else it is changed in place, unless it is refused.

    Returns:
        The network with the compressor, of the class of `model`, in its modes, on its device.

    Raises:
        HarnessError: one line with what stands in the way, and where.
    """
    if weights not in get_args(Weights):
        raise HarnessError(f"weights are 'slice', 'fold' or 'fresh', not {weights!r}")
    if not isinstance(model, nn.Module):
        raise HarnessError(f"a compressor is put into a torch.nn.Module, not into a {type(model).__name__}")
    try:
        path = _own_path(model, path)
        network = Network.of(model, input_shape)
        plan = _plan_for(network, path, compressor)
        layer = _layer_for(compressor, model, plan)
        reduction = Reduction(plan.channels, _kept(layer, plan.channels, compressor.out_channels(plan.channels)))
        attempt(network, [Insertion(path, plan, layer, reduction)], input_shape)
        changed = _copy(model) if copy else model
        rewire(changed, plan.changes, reduction, weights)
        install(changed, plan.at, layer)
    except RefusalError as refusal:
        raise HarnessError(f"no compressor can go behind '{path}': {refusal}") from refusal
    return changed


def _copy(model: nn.Module) -> nn.Module:
    try:
        return deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise RefusalError(f"the model cannot be copied (copy=False changes itself): {first_line(error)}") from error


def _own_path(model: nn.Module, path: str) -> str:
    """Return the first path of the module at `path`, which may have several."""
    paths: dict[nn.Module, str] = {module: name for name, module in model.named_modules()}
    everywhere: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if path not in everywhere:
        near = did_you_mean(path, paths.values())
        hint = near if near.startswith("; did") else "; harness.layers.list_sites names those that there are"
        raise HarnessError(f"the model has no module '{path}'{hint}")
    return paths[everywhere[path]]


def _plan_for(network: Network, path: str, compressor: Compressor) -> Plan:
    before_relu = place_of(compressor) == "before_relu"
    plan = make_plan(network, path, before_relu=before_relu)
    try:
        made, left = compressor.conv_channels(plan.channels), compressor.out_channels(plan.channels)
    except ValueError as error:
        raise RefusalError(str(error)) from error
    if made == plan.channels:
        return plan
    if made != left:
        raise RefusalError(f"{compressor} asks for a convolution with {made} channels, and makes {left} of them")
    return make_plan(network, path, before_relu=before_relu, narrow=True)


def _layer_for(compressor: Compressor, model: nn.Module, plan: Plan) -> nn.Module:
    """Return the compressor's layer, in the mode, on the device and of the dtype of what is around it."""
    layer = compressor.layer(plan.channels)
    changing = (p for path in plan.changes for p in model.get_submodule(path).parameters(recurse=False))
    near = next(changing, None)
    if near is None:
        near = next((p for p in model.parameters() if p.is_floating_point()), None)
    if near is not None:
        layer = layer.to(near.device, near.dtype)
    return layer.train(model.get_submodule(plan.at).training)


def _kept(layer: nn.Module, channels: int, groups: int) -> tuple[int, ...]:
    if isinstance(layer, RandomChannel2d) and not layer.index.is_meta:
        return tuple(layer.index.tolist())
    return tuple(range(0, channels, channels // groups))
