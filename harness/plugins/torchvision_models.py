"""torchvision's classification networks by name, read from its source without importing it."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.base.extras import needs
from harness.plugins.digests import chosen_digest, find_module

TORCHVISION = "torchvision:"
_BUILDER = re.compile(r"^@register_model\([^\n]*\)\n(?:@[^\n]*\n)*def (\w+)\(", re.MULTILINE)
_PUBLISHED = re.compile(r"^[A-Z]+[A-Z0-9]*_[A-Z0-9_]*(?:V\d+|FEATURES)$")
_NOT_THE_NETWORK = frozenset({"torchvision.models._api", "torchvision.models._meta", "torchvision.models._utils"})


@cache
def torchvision_models() -> dict[str, str]:
    """Return the module of each classification network by its name; none if torchvision is not installed."""
    folder = _folder()
    files = [] if folder is None else sorted(folder.glob("torchvision/models/*.py"))
    return {name: f"torchvision.models.{f.stem}" for f in files for name in _BUILDER.findall(f.read_text("utf-8"))}


def torchvision_name(kind: str) -> str:
    """Return NAME of `torchvision:NAME`.

    Raises FieldError if torchvision has no such classification network, MissingPartError without torchvision.
    """
    needs("torchvision")
    name = kind.removeprefix(TORCHVISION)
    known = torchvision_models()
    if name not in known:
        raise FieldError(("kind",), f"torchvision has no classification model '{name}'{did_you_mean(name, known)}")
    return name


def is_published(weights: str) -> bool:
    """Return whether a text is one of torchvision's words for weights, such as IMAGENET1K_V1, and not a file's name."""
    return weights == "DEFAULT" or _PUBLISHED.match(weights) is not None


def torchvision_digest(name: str) -> str:
    """Return the digest of a network's code: its module, those of other networks and the layers that it imports.

    Another version of torchvision in which these are the same has the same digest.
    """
    return chosen_digest(torchvision_models()[name], _find)


def _find(name: str) -> Path | None:
    own = name.startswith("torchvision.models.") and name not in _NOT_THE_NETWORK
    folder = _folder()
    if folder is None or not (own or name in {"torchvision.ops.misc", "torchvision.ops.stochastic_depth"}):
        return None
    return find_module(name, folder)


@cache
def _folder() -> Path | None:
    spec = find_spec("torchvision")  # does not run it
    places = None if spec is None else spec.submodule_search_locations
    return Path(places[0]).parent if places else None
