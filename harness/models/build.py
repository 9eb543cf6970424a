"""From the resolved configuration of a trial to its network, on the current default device and dtype."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from torch import nn

from harness.base.errors import HarnessError
from harness.layers.build import build_compressor
from harness.plugins.plugin import load_object, load_ours
from harness.plugins.registry import PluginKind
from harness.trial.models import MODELS, ModelDeclaration, is_undeclared


def build_model(
    config: Mapping[str, Any], plugin_paths: Sequence[str | Path] = (), files: Mapping[str, str] | None = None
) -> nn.Module:
    """Return the network of a trial: its "model", with its "compressors" at their sites.

    A plug-in `module:class` that carries its `declaration` as a class attribute is called as ours are; other
    networks of plug-ins, and torchvision's, are made by `harness.models.foreign`.

    Args:
        config: {"model": {"kind": …, options}, "compressors": {site: {"kind": …, options}}, …}; the rest is
        not read. plugin_paths: folders in which modules of plug-ins may lie. files: where weights
            lie, by their digest; None if shapes alone are wanted.

    Raises:
        HarnessError: an unknown model, compressor, option or site, or a stride that does not divide.
    """
    arguments = dict(config["model"])
    kind = arguments.pop("kind", None)
    if is_undeclared(arguments):
        from harness.models.foreign import build_foreign

        return build_foreign(config, plugin_paths, files)
    found = MODELS.resolve(kind)
    if isinstance(found, PluginKind):
        network = load_object(found.reference, plugin_paths, digest=arguments.pop("code", None))
    else:
        network = load_ours(found.code)
    declaration = getattr(network, "declaration", None)
    if not isinstance(declaration, ModelDeclaration):
        raise HarnessError(f"model '{kind}' has no 'declaration' (harness.trial.models.ModelDeclaration)")
    try:
        options = declaration.options.model_validate(arguments)
    except ValidationError as error:
        raise HarnessError(f"model '{kind}': {_first_line(error)}") from error
    compressors = {site: build_compressor(c, plugin_paths) for site, c in config["compressors"].items()}
    built = cast("nn.Module", network(compressors, options))
    read_weights = getattr(built, "read_weights", None)  # of a network that may start with published weights
    if read_weights is not None:
        cast("Callable[[Mapping[str, str] | None], None]", read_weights)(files)
    return built


def _first_line(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"option '{'.'.join(str(part) for part in first['loc'])}': {first['msg']}"
