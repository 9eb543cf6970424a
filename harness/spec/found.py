"""What was found out about a foreign network, kept in the user's cache under everything that it follows from."""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.spec.digests import code_digest
from harness.spec.files import atomic_write
from harness.spec.keys import canonical_json

_known: dict[str, Any] = {}


def found(what: str, about: Any, find: Callable[[], Any]) -> Any:
    """Return what `find` returns (made of JSON's types), or what it returned before about the same.

    The same: the configuration `about` with its code digests, our own code that looks, and torch's version. A cache
    that cannot be read or written is none.
    """
    text = canonical_json([what, about, _looking()])
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    if key not in _known:
        _known[key] = _from_disk(_folder() / f"{key}.json", find)
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
def _looking() -> list[str]:
    return [code_digest(["harness.models.foreign"]), metadata.version("torch")]
