"""timm's networks by name, read from its source without importing it: `timm:NAME`, as its `create_model` takes it.

Weights are not fetched: what a name with a tag (`resnet50.a1_in1k`) means lies on a server and may change there.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.base.extras import needs
from harness.plugins.digests import chosen_digest, find_module
from harness.torchvision_compat import prepare_torchvision

TIMM = "timm:"
_BUILDER = re.compile(r"^@register_model(?:\([^\n]*\))?\ndef (\w+)\(", re.MULTILINE)
_FETCHING = frozenset({"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"})
_NOT_THE_NETWORK = frozenset(
    f"timm.models.{name}" for name in ("_builder", "_factory", "_helpers", "_hub", "_pretrained", "_prune", "_registry")
)


@cache
def timm_models() -> dict[str, str]:
    """Return the module of each of timm's networks by its name; none where timm is not installed."""
    folder = _folder()
    files = [] if folder is None else sorted(folder.glob("timm/models/*.py"))
    return {name: f"timm.models.{f.stem}" for f in files for name in _BUILDER.findall(f.read_text("utf-8"))}


def load_timm(kind: str) -> tuple[Callable[..., Any], str]:
    """Return what makes a network of timm, and the digest of its code: its modules and the layers that they import.

    Another version of timm in which these are the same has the same digest. Raises FieldError if timm has no such
    network, MissingPartError without timm.
    """
    needs("timm", "torch")
    name, known = kind.removeprefix(TIMM), timm_models()
    if name not in known:
        plain, _, tag = name.partition(".")
        if tag and plain in known:
            raise FieldError(
                ("kind",), f"'{kind}' names weights on a server, which are not fetched: write {TIMM}{plain}"
            )
        raise FieldError(("kind",), f"timm has no model '{name}'{_near(name, known)}")

    def make(*, num_classes: int = 1000, **options: Any) -> Any:
        if fetching := sorted(_FETCHING & options.keys()):
            raise ValueError(f"'{fetching[0]}' fetches weights, or reads them, by a way that no key knows")
        prepare_torchvision()
        return import_module("timm").create_model(name, num_classes=num_classes, **options)

    return make, _digest(known[name])


def _near(name: str, known: dict[str, str]) -> str:
    """Return the nearest name, if there is one: there are too many to list."""
    near = did_you_mean(name, known)
    return near if near.startswith("; did") else ""


@cache
def _digest(module: str) -> str:
    return chosen_digest(module, _find)


def _find(name: str) -> Path | None:
    folder = _folder()
    own = name.startswith(("timm.models.", "timm.layers")) and name not in _NOT_THE_NETWORK
    return find_module(name, folder) if own and folder is not None else None


@cache
def _folder() -> Path | None:
    spec = find_spec("timm")  # does not run it
    places = None if spec is None else spec.submodule_search_locations
    return Path(places[0]).parent if places else None
