"""What was found out about a plug-in's network, kept in the user's cache under everything that it follows from.

A plug-in that imports other installed packages follows from these too, of which no digest is taken: what was found
about it is known for as long as the process lives, and not on disk.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.base.files import atomic_write
from harness.base.keys import canonical_json
from harness.plugins.digests import code_digest

_known: dict[str, Any] = {}
_VERSIONED = ("torch", "torchvision")
_FOLLOWED = (sys.stdlib_module_names - {"importlib"}) | {*_VERSIONED, "harness"}  # importlib: of what, nobody can tell


def cached(what: str, about: Any, find: Callable[[], Any], imports: Collection[str] = ()) -> Any:
    """Return what `find` returns (made of JSON's types), or what it returned before about the same.

    The same: the configuration `about` with its code digests, our own code that looks, and the versions of torch and
    torchvision. `imports` are the names that a plug-in's code imports beside its own. A cache that cannot be read or
    written is none.
    """
    ours = tuple(sorted(name for name in imports if name.startswith("harness.")))
    text = canonical_json([what, about, _looking(ours)])
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    if key not in _known:
        followed = all(name.partition(".")[0] in _FOLLOWED for name in imports)
        _known[key] = _from_disk(_folder() / f"{key}.json", find) if followed else find()
    return _known[key]


def _from_disk(file: Path, find: Callable[[], Any]) -> Any:
    with suppress(OSError, ValueError):
        return json.loads(file.read_text(encoding="utf-8"))
    result = find()
    with suppress(OSError):
        atomic_write(file, json.dumps(result))
    return result


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "harness" / "networks"


@cache
def _looking(ours: tuple[str, ...]) -> list[str]:
    return [code_digest(["harness.models.foreign", *ours]), *map(_version, _VERSIONED)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
