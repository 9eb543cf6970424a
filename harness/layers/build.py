"""From the options of a study to a compressor: ours by their name, a user's by `module:object`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from harness.base.errors import HarnessError, did_you_mean
from harness.layers.compressor import Compressor
from harness.plugins.plugin import is_plugin, load_object, load_ours
from harness.trial.compressors import COMPRESSORS

_QUESTIONS = ("stride", "commutes_with", "conv_channels", "out_channels", "layer")


def build_compressor(options: Mapping[str, Any], plugin_paths: Sequence[str | Path] = ()) -> Compressor:
    """Return the compressor that `options` describe, e.g. {"kind": "spatial", "stride": 2}.

    Args:
        options: "kind", a declared name or `module:object`, and what its class is called with. A plug-in's "code",
            the digest that its key holds, is left out.
        plugin_paths: folders in which the module of a plug-in may lie.

    Raises:
        HarnessError: the kind is unknown, or its class does not take these options.
    """
    arguments = dict(options)
    kind = arguments.pop("kind", None)
    if isinstance(kind, str) and is_plugin(kind):
        make = load_object(kind, plugin_paths, digest=arguments.pop("code", None))
    else:
        make = load_ours(_code_of(kind))
    try:
        compressor = make(**arguments)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"compressor '{kind}': {error}") from error
    if missing := [name for name in _QUESTIONS if not hasattr(compressor, name)]:
        raise HarnessError(f"'{kind}' is no compressor: it has no {', '.join(missing)}")
    return cast("Compressor", compressor)


def _code_of(kind: object) -> str:
    if not isinstance(kind, str) or kind not in COMPRESSORS:
        raise HarnessError(f"unknown compressor '{kind}'{did_you_mean(kind, COMPRESSORS)}")
    return COMPRESSORS[kind].code
