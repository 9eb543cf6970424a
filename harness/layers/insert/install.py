"""Putting a compressor's layer behind a module, without a new name for anything that was there before."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from harness.layers.insert.errors import RefusalError

NAME = "inserted"
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Place:
    """Whose child of which name a compressor's layer becomes, and what calls it."""

    owner: str
    name: str
    called_by: Literal["sequential", "hook of the owner", "hook of the module"]

    @property
    def path(self) -> str:
        """The path that the layer has there."""
        return f"{self.owner}.{self.name}".lstrip(".")


def place_behind(model: nn.Module, path: str) -> Place:
    """Return where a layer behind the module at `path` is kept.

    Raises:
        RefusalError: there is a compressor already, or only containers are around it.
    """
    module = model.get_submodule(path)
    if type(module).forward is nn.Sequential.forward:
        place = Place(path, NAME, "sequential")
    elif not isinstance(module, _CONTAINERS):
        place = Place(path, NAME, "hook of the owner")
    else:
        owner = _owner_around(model, path)
        name = f"{path.removeprefix(owner).strip('.').replace('.', '_')}_{NAME}"
        place = Place(owner, name, "hook of the module")
    if hasattr(model.get_submodule(place.owner), place.name):
        raise RefusalError(f"something named '{place.name}' is there already")
    return place


def install(model: nn.Module, path: str, layer: nn.Module) -> str:
    """Let `layer` stand behind the module at `path`, and return the path that it has now.

    It becomes the module's child `inserted`: the last of a Sequential, else called by a forward hook. A container with
    a forward of its own, which may call all of its children, gets no child: the layer becomes one of the nearest module
    around it that is not a container, as `features_block1_inserted`.

    Raises:
        RefusalError: there is a compressor already, or only containers are around it.
    """
    place = place_behind(model, path)
    model.get_submodule(place.owner).add_module(place.name, layer)
    if place.called_by == "hook of the owner":
        model.get_submodule(path).register_forward_hook(call_child)
    elif place.called_by == "hook of the module":
        model.get_submodule(path).register_forward_hook(_Call(layer))
    return place.path


def call_child(module: nn.Module, args: Any, output: Tensor) -> Tensor:  # noqa: ARG001
    """Forward hook: what the module returns goes through its child `inserted`. (N, C, H, W) → (N, C/s, H, W)."""
    passed: Tensor = module.get_submodule(NAME)(output)
    return passed


class _Call:
    """Forward hook: what a module returns goes through a layer that is kept elsewhere."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:  # noqa: ARG002
        passed: Tensor = self.layer(output)
        return passed


def _owner_around(model: nn.Module, path: str) -> str:
    while path:
        path = path.rpartition(".")[0]
        if not isinstance(model.get_submodule(path), _CONTAINERS):
            return path
    raise RefusalError("it is a container with a forward of its own, in containers alone")
