"""The code that a job runs, as it was when its attempt was handed out: ours and that of plug-ins, by its digest.

    results/code/DIGEST/harness/…       this package
    results/code/DIGEST/net.py          a plug-in's modules, as far as they count in its digest

A job may wait in a queue for days. What is edited meanwhile changes nothing for it, nor for its results. Other packages
are those that are installed where the job runs.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.attempt.messages import REQUEST_FILE, AttemptRequest
from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.base.files import atomic_write, read_regular
from harness.plugins.digests import INSTALLED, PACKAGE, find_module, plugin_modules
from harness.plugins.plugin import entry_point, find_plugin, is_plugin

_DIGITS = 16
_GROUPS = ("harness.compressors", "harness.models", "harness.datasets", "harness.tasks")


class Snapshots:
    """Copies of code below `root`, each in a folder that is called by the digest of what it holds."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def harness(self) -> Path:
        """Return the folder with a copy of this package."""
        files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return self._kept({path.relative_to(PACKAGE.parent).as_posix(): path for path in files})

    def take_plugins(self, folder: Path) -> None:
        """Let the request of the attempt in `folder` import its plug-ins from a copy.

        One that cannot be understood stays as it is: the attempt says so.
        """
        file = folder / REQUEST_FILE
        try:
            request = AttemptRequest.from_json(read_regular(file).decode())
        except (HarnessError, OSError, ValueError, TypeError, KeyError, AttributeError):
            return
        wanted: dict[str, Path] = {}
        for kind in _plugins({"config": request.config, "sources": [data.source for data in request.datasets]}):
            wanted |= _files_of(kind, request.plugin_paths)
        paths = (str(self._kept(wanted)),) if wanted else ()
        atomic_write(file, replace(request, plugin_paths=paths).to_json())

    def _kept(self, files: Mapping[str, Path]) -> Path:
        """Return the folder that holds these files, by their paths in it; it is there whole or not at all."""
        contents = {name: path.read_bytes() for name, path in sorted(files.items())}
        digest = hashlib.sha256()
        for name, content in contents.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        kept = self._root / digest.hexdigest()[:_DIGITS]
        if kept.is_dir():
            return kept
        temporary = self._root / f".{kept.name}.{secrets.token_hex(4)}.tmp"
        for name, content in contents.items():
            place = temporary / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        try:
            os.replace(temporary, kept)  # noqa: PTH105 - another driver may have been faster
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            if not kept.is_dir():
                raise
        return kept


def _plugins(value: Any) -> Iterator[str]:
    """Yield every plug-in that a configuration names, wherever in it: `module:object`, also by an entry point."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _plugins(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _plugins(each)
    elif is_plugin(value):
        yield value
    elif isinstance(value, str):
        yield from (found for group in _GROUPS if (found := entry_point(group, value)) is not None)


def _files_of(kind: str, folders: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a plug-in by their paths beside one another; none of what is installed, or is no plug-in."""
    with suppress(FieldError, OSError, SyntaxError, ValueError):
        root, name, _ = find_plugin(kind, folders)
        if root.name in INSTALLED:
            return {}
        written = kind.rpartition(":")[0]
        before = Path(written).parent if written.endswith(".py") else Path()
        found = {module: find_module(module, root) for module in plugin_modules(name, root)}
        files = [file for file in found.values() if file is not None]
        packages = {parent / "__init__.py" for file in files for parent in _within(file.parent, root)}
        return {(before / file.relative_to(root)).as_posix(): file for file in (*files, *packages) if file.is_file()}
    return {}


def _within(folder: Path, root: Path) -> Iterator[Path]:
    """Yield a folder and those around it below a root."""
    while folder != root:
        yield folder
        folder = folder.parent
