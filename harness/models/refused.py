"""Why no compressor can go behind a module of a foreign network, for the message that refuses one there."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.layers.insert.sites import refused_sites
from harness.models.foreign import make_network, on_meta
from harness.plugins.torchvision_models import TORCHVISION


def reason(model: Mapping[str, Any], path: str, folders: Sequence[str]) -> str | None:
    """Return why the module at `path` is no site; None where the network has no such module.

    Raises:
        HarnessError: the network cannot be made, or does not run on the meta device.
    """
    channels, height, width = model["input_shape"]
    shape = (3 if model["kind"].startswith(TORCHVISION) else channels, height, width)
    return refused_sites(on_meta(lambda: make_network(model, folders)), shape).get(path)
