"""What is put at a site: a compressor's options, checked against the site and written canonically."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.base.checks import FieldError, MisfitError, validate
from harness.plugins.plugin import check_options, load_plugin, plugin_options
from harness.plugins.registry import PluginKind
from harness.trial.compressors import COMPRESSORS
from harness.trial.models import Site


def resolve_compressor(site: Site, options: Any, folders: Sequence[str]) -> dict[str, Any]:
    """Return the canonical options of a compressor at a site.

    Raises FieldError with the path within `options`: an unknown kind, an option out of range, a stride that does not
    divide the channels, `width` if nothing can be narrowed, `maxout` if there is no activation.
    """
    kind, given = COMPRESSORS.split(options)
    declaration = COMPRESSORS.resolve(kind)
    if isinstance(declaration, PluginKind):
        return _plugin(site, declaration.reference, given, folders)
    checked = validate(declaration.options, given)
    _check_stride(site, checked.stride)
    if declaration.narrows and not site.narrowable:
        raise MisfitError(("kind",), f"'{kind}' cannot go at '{site.name}': nothing before it can be narrowed alone")
    if declaration.before_activation and not site.activated:
        raise MisfitError(
            ("kind",), f"'{kind}' cannot be at '{site.name}': it goes before an activation, and none is there"
        )
    return {"kind": kind, **checked.model_dump(mode="json", exclude_defaults=True)}


def _plugin(site: Site, kind: str, given: Mapping[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """Return the canonical options of a plug-in at a site: its code's digest among them."""
    target, digest = load_plugin(kind, folders)
    if not isinstance(target, type) or not all(callable(getattr(target, name, None)) for name in _ANSWERS):
        raise FieldError(("kind",), f"'{kind}' is not a compressor: a class with {', '.join(_ANSWERS)} is wanted")
    if "code" in given:
        raise FieldError(("code",), "'code' is where the digest of a plug-in's code is, no option")
    kept = plugin_options(target, given)
    check_options(kind, kept)
    try:
        stride = target(**given).stride
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise FieldError(("kind",), f"'{kind}' refuses its options: {reason}") from error
    if type(stride) is not int or stride < 1:
        raise FieldError(("stride",), f"'{kind}' has stride {stride!r}: a whole number from 1 is wanted")
    _check_stride(site, stride)
    return {"kind": kind, **kept, "code": digest}


_ANSWERS = ("conv_channels", "out_channels", "layer")
"""The methods of `harness.layers.compressor.Compressor`."""


def _check_stride(site: Site, stride: int) -> None:
    if site.channels % stride:
        divisors = [str(n) for n in range(2, site.channels + 1) if site.channels % n == 0]
        raise MisfitError(
            ("stride",),
            f"stride {stride} does not divide the {site.channels} channels at '{site.name}'; "
            f"possible: {', '.join(divisors)}",
        )
