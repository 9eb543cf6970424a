"""Networks of plug-ins that declare nothing of themselves: torchvision's, and what a callable of a person returns.

`ForeignNetwork` holds the network under `network`, so that its parameters keep their own names behind that word, with
compressors put in by `harness.layers.insert_after`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.base.errors import HarnessError, wants_values
from harness.layers.build import build_compressor
from harness.layers.insert.place import insert_after
from harness.layers.insert.sites import list_sites, refused_sites
from harness.models.weights import load_weights, parameter_paths
from harness.plugins.plugin import load_object
from harness.plugins.signature import takes
from harness.plugins.torchvision_models import TORCHVISION
from harness.torchvision_compat import import_torchvision
from harness.trial.models import ModelDeclaration, input_scales
from harness.trial.plugin_models import bare_model, declared_model

_OURS = frozenset({"kind", "code", "input_shape", "classes"})
_WITHOUT_AUXILIARY = {"googlenet": {"aux_logits": False}, "inception_v3": {"aux_logits": False}}
_COLOURS = 3


class Activations(NamedTuple):
    """What a forward pass shows to those who observe it."""

    maps: Tensor  # (N, C, H, W): the last that a module reads or returns, H·W > 1
    hidden: Tensor  # (N, D): what the last linear layer reads; without one, the maps' means
    logits: Tensor  # (N, classes)


class ForeignNetwork(nn.Module):
    """(N, C, H, W) → logits (N, classes). A grey image goes into a colour network three times, as its channels.

    `keeps` names the modules whose parameters come from a file, which no protocol initialises.
    """

    def __init__(self, network: nn.Module, declaration: ModelDeclaration, keeps: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.network = network
        self.declaration = declaration
        self.keeps = frozenset(f"network.{path}".rstrip(".") for path in keeps)
        self._repeats = _repeats(declaration.name, declaration.input_shape[0])

    def forward(self, x: Tensor) -> Tensor:
        if self._repeats > 1:
            x = x.repeat(1, self._repeats, 1, 1)  # (N, 3, H, W)
        logits: Tensor = self.network(x)
        return logits

    def features(self, x: Tensor) -> Activations:
        """Return maps, last hidden layer and logits of images (N, C, H, W), from one pass.

        Tensors (N, H, W, C), as transformers have them on the way, are not maps (`_Observer`).
        """
        look = _Observer()
        with _watching(self.network, look):
            logits = self(x)
        seen = logits[:, :, None, None] if look.maps is None else look.maps
        return Activations(seen, seen.mean((2, 3)) if look.hidden is None else look.hidden.flatten(1), logits)


class _Observer:
    """Forward hook of modules without children: keeps the last maps, and what the last linear layer reads.

    Dimension 3 holds the channels of what linear layers and layer normalisation read and return, and of a tensor with
    as many entries there as the last layer with weights made, but another number in dimension 1.
    """

    def __init__(self) -> None:
        self.maps: Tensor | None = None
        self.hidden: Tensor | None = None
        self._made: int | None = None

    def __call__(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        given = next(iter((*args, *kwargs.values())), None)
        linear = isinstance(module, nn.Linear)
        if linear:
            self.hidden = given
        along_the_last = linear or type(module).forward is nn.LayerNorm.forward
        if not along_the_last:
            self._look(given)
        if next(module.parameters(), None) is not None and isinstance(output, Tensor) and output.ndim > 1:
            self._made = output.shape[-1 if along_the_last else 1]
        if not along_the_last:
            self._look(output)

    def _look(self, tensor: Any) -> None:
        if isinstance(tensor, Tensor) and tensor.ndim == 4 and tensor.shape[2] * tensor.shape[3] > 1:
            channels_last = tensor.shape[1] != self._made and tensor.shape[3] == self._made
            self.maps = self.maps if channels_last else tensor


@contextmanager
def _watching(network: nn.Module, look: Any) -> Iterator[None]:
    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    handles = [module.register_forward_hook(look, with_kwargs=True) for module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def build_foreign(
    config: Mapping[str, Any], folders: Sequence[Any] = (), files: Mapping[str, str] | None = None
) -> ForeignNetwork:
    """Return the network of a trial, with its "compressors" behind the modules that they name.

    Untrained layers that lose channels start again; with a file of weights they lose them as `loses` says.

    Raises:
        HarnessError: the network cannot be made, a compressor cannot go, the weights do not fit.
    """
    model = config["model"]
    network = make_network(model, folders)
    keeps: frozenset[str] = frozenset()
    lost = "fresh"
    if "weights" in model and model["kind"].startswith(TORCHVISION):
        lost = model["loses"]
        if files is not None and model["weights"] in files:
            keeps = load_weights(network, files[model["weights"]], model["weights"])
            if input_scales(model) is not None and keeps != parameter_paths(network):
                raise HarnessError(f"the weights of '{model['kind']}' are not for {model['classes']} classes")
        elif files is not None and next(network.parameters()).device.type != "meta":
            raise HarnessError(f"the weights of '{model['kind']}' ({model['weights'][:12]}…) are not at hand")
    before = {name: p.shape for name, p in network.named_parameters()}
    for path, options in config["compressors"].items():
        network = insert_after(
            network,
            path,
            build_compressor(options, folders),
            input_shape=input_shape_of(model),
            weights=cast("Any", lost),
            copy=False,
        )
    if lost == "fresh":
        changed = {n.rpartition(".")[0] for n, p in network.named_parameters() if before.get(n) != p.shape}
        keeps -= changed
    return ForeignNetwork(network, declared_model(model, [str(f) for f in folders]), keeps)


def make_network(model: Mapping[str, Any], folders: Sequence[Any] = ()) -> nn.Module:
    """Return a plug-in's network without compressors, on the current device, as its own constructor starts it."""
    kind = model["kind"]
    options = {name: value for name, value in bare_model(model).items() if name not in _OURS}
    try:
        if kind.startswith(TORCHVISION):
            name = kind.removeprefix(TORCHVISION)
            import_torchvision()
            builder = getattr(import_module("torchvision.models"), name)
            options = {"weights": None, "num_classes": model["classes"], **_WITHOUT_AUXILIARY.get(name, {}), **options}
            options = {**_sized(name, model), **options}
            if name in _WITHOUT_AUXILIARY:
                options.setdefault("init_weights", False)  # a protocol initialises
            network = builder(**options)
        else:
            target = load_object(kind, folders, digest=model["code"])
            for name in ("num_classes", "classes"):
                if takes(target, name):
                    options.setdefault(name, model["classes"])
            network = target(**options)
    except (TypeError, ValueError, AssertionError) as error:
        raise HarnessError(f"'{kind}' cannot be made: {' '.join(str(error).split())}") from error
    if not isinstance(network, nn.Module):
        raise HarnessError(f"'{kind}' returns {type(network).__name__}, not a torch.nn.Module")
    return network


def _sized(name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of torchvision's networks that are made for one size of images."""
    if "input_shape" not in model:
        return {}
    _, height, width = model["input_shape"]
    if name.startswith("vit_"):
        return {"image_size": height}
    return {"input_size": (height, width)} if name.startswith("maxvit_") else {}


def describe(model: Mapping[str, Any], folders: Sequence[str]) -> list[list[Any]]:
    """Return path, channels and whether `width` can go, of each site; the network runs on the meta device.

    Raises:
        HarnessError: it does not, or does not return logits (N, classes).
    """
    network = on_meta(lambda: make_network(model, folders))
    shape = input_shape_of(model)
    try:
        with torch.device("meta"), torch.no_grad():
            out = network.eval()(torch.empty(2, *shape))
    except Exception as error:
        raise HarnessError(f"it does not run on {shape} images: {(' '.join(str(error).split()))[:200]}") from error
    if not isinstance(out, Tensor) or tuple(out.shape) != (2, model["classes"]):
        raise HarnessError(f"it returns {tuple(getattr(out, 'shape', ()))} of two images, not (2, {model['classes']})")
    return [[site.path, site.channels, site.narrowable] for site in list_sites(network, shape)]


def refusal(config: Mapping[str, Any], folders: Sequence[str]) -> str | None:
    """Return why a trial's compressors cannot go in its network together, or None."""
    bare = {**config, "model": bare_model(config["model"])}
    try:
        on_meta(lambda: build_foreign(bare, folders))
    except HarnessError as error:
        return str(error)
    return None


def refused_site(model: Mapping[str, Any], path: str, folders: Sequence[str]) -> str | None:
    """Return why the module at `path` is not a site; None if the network has no such module.

    Raises:
        HarnessError: the network cannot be made, or does not run on the meta device.
    """
    channels, height, width = model["input_shape"]
    shape = (3 if model["kind"].startswith(TORCHVISION) else channels, height, width)
    return refused_sites(on_meta(lambda: make_network(model, folders)), shape).get(path)


def on_meta(make: Any) -> nn.Module:
    """Return a network on the meta device, made there, or on the CPU if its constructor needs values."""
    try:
        with torch.device("meta"):
            return cast("nn.Module", make())
    except (HarnessError, RuntimeError) as error:
        if not wants_values(error):
            raise
    with torch.random.fork_rng(devices=[]), _Uninitialised():
        return cast("nn.Module", make()).to("meta")


class _Uninitialised(TorchFunctionMode):
    """Parameters get no values, which would take their time and memory: functions that write into one do nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        writes = name.endswith("_") and not name.startswith("__") and name != "requires_grad_"
        if writes and args and isinstance(args[0], nn.Parameter):
            return args[0]
        return func(*args, **(kwargs or {}))


def input_shape_of(model: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of what goes into the network itself: grey images go into a colour one three times."""
    channels, height, width = model["input_shape"]
    return channels * _repeats(model["kind"], channels), height, width


def _repeats(kind: str, channels: int) -> int:
    return _COLOURS if kind.startswith(TORCHVISION) and channels == 1 else 1
