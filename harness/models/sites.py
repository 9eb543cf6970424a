"""Whether compressors can go where a model is asked to put them, and in which order a site is computed.

If a compressor commutes with all that it comes after (ReLU, max-pooling), a network may pool the channels first,
and do the rest on 1/stride of the maps. Values are equal; so are gradients, unless max-pooling meets equal values.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import nn

from harness.base.errors import HarnessError, did_you_mean
from harness.layers.compressor import Compressor, place_of
from harness.trial.models import ModelDeclaration, ModelOptions

ORDERS = ("auto", "as_written")
"""auto: channels first if that commutes; as_written: everything if the paper has it."""

_order = ContextVar("order", default="as_written")


@contextmanager
def using_order(name: str) -> Iterator[None]:
    """Build networks in an order, "auto" or "as_written", during the block; else they are built as written.

    Raises:
        ValueError: another word.
    """
    if name not in ORDERS:
        raise ValueError(f"order is 'auto' or 'as_written', not {name!r}")
    before = _order.set(name)
    try:
        yield
    finally:
        _order.reset(before)


def check_sites(declaration: ModelDeclaration, options: ModelOptions, compressors: Mapping[str, Compressor]) -> None:
    """Refuse compressors at unknown sites, with a stride that does not divide, or that narrow what cannot be
    narrowed.

    Raises:
        HarnessError: one line with the model, the site and the reason.
    """
    sites = declaration.sites_of(options)
    for name, compressor in compressors.items():
        site = sites.get(name)
        if site is None:
            raise HarnessError(f"{declaration.name} has no site '{name}'{did_you_mean(name, sites)}")
        try:
            compressor.out_channels(site.channels)
            made = compressor.conv_channels(site.channels)
            place_of(compressor)
        except ValueError as error:
            raise HarnessError(f"{declaration.name}, site {name}: {error}") from error
        if made != site.channels and not site.narrowable:
            raise HarnessError(f"{declaration.name}, site {name}: the convolution before it cannot be narrowed")


@dataclass(frozen=True)
class SiteLayers:
    """What is at a site of so many channels: nothing, or a compressor's layer before the activation or behind all.

    Not a module: the layer is kept by the model, under a name of the model's choice.
    """

    made: int  # channels, by the convolution before the site
    read: int  # by the next layer
    before_relu: nn.Module | None = None
    behind: nn.Module | None = None

    @classmethod
    def of(cls, compressor: Compressor | None, channels: int, after: Collection[str]) -> "SiteLayers":
        """Return what a compressor puts at a site of `channels` channels, behind `after`: "relu", "max_pool"."""
        if compressor is None:
            return cls(channels, channels)
        made, read, layer = (
            compressor.conv_channels(channels),
            compressor.out_channels(channels),
            compressor.layer(channels),
        )
        first = _order.get() == "auto" and compressor.commutes_with.issuperset(after)
        if first or place_of(compressor) == "before_relu":
            return cls(made, read, before_relu=layer)
        return cls(made, read, behind=layer)

    @property
    def layer(self) -> nn.Module | None:
        """The layer, wherever it is."""
        return self.behind if self.before_relu is None else self.before_relu
