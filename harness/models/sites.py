"""Whether compressors can stand where a model is asked to put them."""

from collections.abc import Mapping

from harness.layers.compressor import Compressor
from harness.spec.errors import HarnessError, did_you_mean
from harness.spec.models import ModelDeclaration


def check_sites(declaration: ModelDeclaration, compressors: Mapping[str, Compressor]) -> None:
    """Refuse compressors at unknown sites, with a stride that does not divide, or that narrow what cannot be
    narrowed.

    Raises:
        HarnessError: one line with the model, the site and the reason.
    """
    for name, compressor in compressors.items():
        site = declaration.sites.get(name)
        if site is None:
            raise HarnessError(f"{declaration.name} has no site '{name}'{did_you_mean(name, declaration.sites)}")
        try:
            compressor.out_channels(site.channels)
            made = compressor.conv_channels(site.channels)
        except ValueError as error:
            raise HarnessError(f"{declaration.name}, site {name}: {error}") from error
        if made != site.channels and not site.narrowable:
            raise HarnessError(f"{declaration.name}, site {name}: the convolution before it cannot be narrowed")
