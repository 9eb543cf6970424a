"""What a compressor saves at each site of a foreign network, found by putting one there on the meta device."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from harness.layers.insert.place import insert_after
from harness.layers.insert.sites import list_sites, refused_sites
from harness.layers.spatial import Spatial
from harness.models.foreign import make_network, on_meta
from harness.spec.errors import HarnessError


@dataclass(frozen=True)
class Changed:
    """A site with the network that has feature pooling there, or why there is none."""

    path: str
    channels: int
    network: nn.Module | None
    reason: str = ""


def foreign_on_meta(model: Mapping[str, Any], folders: Sequence[str] = ()) -> nn.Module:
    """Return a foreign network on the meta device, in evaluation mode."""
    return on_meta(lambda: make_network(model, folders)).eval()


def changed_at_sites(network: nn.Module, shape: Sequence[int], stride: int) -> Iterator[Changed]:
    """Yield each listed site of a network on the meta device with feature pooling at it."""
    for site in list_sites(network, shape):
        if site.channels % stride:
            yield Changed(site.path, site.channels, None, f"{stride} does not divide its {site.channels} channels")
            continue
        try:
            changed = insert_after(copy.deepcopy(network), site.path, Spatial(stride), input_shape=shape, copy=False)
        except HarnessError as error:
            yield Changed(site.path, site.channels, None, str(error).partition("': ")[2])
            continue
        yield Changed(site.path, site.channels, changed)


def refused(network: nn.Module, shape: Sequence[int]) -> dict[str, str]:
    """Return why no compressor can stand behind each of the other modules."""
    return refused_sites(network, shape)
