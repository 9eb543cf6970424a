"""Whether compressors can stand where a model is asked to put them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from harness.layers.compressor import Compressor, place_of
from harness.spec.errors import HarnessError, did_you_mean
from harness.spec.models import ModelDeclaration, ModelOptions


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
class Standing:
    """What stands at a site of so many channels: nothing, or a compressor's layer before the activation or behind all.

    Not a module: the layer is kept by the model, under a name of the model's choice.
    """

    made: int  # by the convolution before the site
    activated: int  # channels that the activation sees
    read: int  # by the next layer
    before_relu: nn.Module | None = None
    behind: nn.Module | None = None

    @classmethod
    def of(cls, compressor: Compressor | None, channels: int) -> "Standing":
        """Return what a compressor puts at a site of `channels` channels."""
        if compressor is None:
            return cls(channels, channels, channels)
        made, read, layer = (
            compressor.conv_channels(channels),
            compressor.out_channels(channels),
            compressor.layer(channels),
        )
        if place_of(compressor) == "before_relu":
            return cls(made, read, read, before_relu=layer)
        return cls(made, made, read, behind=layer)

    @property
    def layer(self) -> nn.Module | None:
        """The layer, wherever it stands."""
        return self.behind if self.before_relu is None else self.before_relu
