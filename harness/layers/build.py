"""From the options of a study to a compressor: ours by their name, a user's by `module:object`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from harness.base.errors import HarnessError
from harness.layers.compressor import Compressor
from harness.plugins.plugin import load_object, load_ours
from harness.plugins.registry import PluginKind
from harness.trial.compressors import COMPRESSORS

_QUESTIONS = ("stride", "commutes_with", "conv_channels", "out_channels", "layer")


def build_compressor(options: Mapping[str, Any], plugin_paths: Sequence[str | Path] = ()) -> Compressor:
    """Return the compressor that `options` describe, e.g. {"kind": "spatial", "stride": 2}.

    Args:
        options: "kind", a declared name, that of an entry point or `module:object`, and what its class is called with.
            A plug-in's "code", the digest that its key holds, is left out.
        plugin_paths: folders in which the module of a plug-in may lie.

    Raises:
        HarnessError: the kind is unknown, or its class does not take these options.
    """
    arguments = dict(options)
    kind = arguments.pop("kind", None)
    found = COMPRESSORS.resolve(kind)
    if isinstance(found, PluginKind):
        make = load_object(found.reference, plugin_paths, digest=arguments.pop("code", None))
    else:
        make = load_ours(found.code)
    try:
        compressor = make(**arguments)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"compressor '{kind}': {error}") from error
    if missing := [name for name in _QUESTIONS if not hasattr(compressor, name)]:
        raise HarnessError(f"'{kind}' is not a compressor: it has no {', '.join(missing)}")
    return cast("Compressor", compressor)
