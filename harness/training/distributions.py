"""Which distributions are installed, and which of them this process has imported: names with versions.

Asked at the end of each attempt, so it must take milliseconds, where `importlib.metadata` reads every file list: names
and versions are those of the metadata folders, and a file list is read only to find or to confirm who owns a module
that was imported, or a library that was loaded (CUDA's come as distributions of their own).
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlparse

_FOLDER = re.compile(r"(?P<name>.+?)(-(?P<version>[^-]+)(-py[\d.]+)?(-[^-]+)?)?\.(dist|egg)-info")
_LIBRARY = re.compile(rb"(/[^\n]*\.so[.\d]*)$", re.MULTILINE)  # in Linux's list of what a process has mapped
_VERSION = re.compile(r"^Version: *(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class _Distribution:
    """An installed distribution by its metadata folder."""

    name: str
    version: str
    metadata: Path

    @cached_property
    def record(self) -> bytes:
        """Return the list of its files, or nothing if it has none."""
        return _content(self.metadata / "RECORD")

    @cached_property
    def tops(self) -> frozenset[str] | None:
        """Return the names that it gives to import, if it says so."""
        return frozenset(_content(self.metadata / "top_level.txt").decode(errors="replace").split()) or None

    def owns(self, path: str) -> bool:
        """Return whether a file is its own, by the file's path from where the distribution is installed."""
        top = path.partition("/")[0]
        if self.tops is not None and not {top, top.partition(".")[0]} & self.tops and not top.endswith(".libs"):
            return False
        if self.record:
            return f"{path},".encode() in self.record
        return self.tops is not None

    @cached_property
    def source(self) -> str | None:
        """Return the folder that it is run from, if it is installed to be edited."""
        said = _content(self.metadata / "direct_url.json")
        try:
            where = json.loads(said) if said else {}
            if where.get("dir_info", {}).get("editable"):
                return os.path.join(unquote(urlparse(where["url"]).path), "")  # noqa: PTH118 - a prefix
        except (ValueError, KeyError, AttributeError):
            pass
        return None


@dataclass(frozen=True)
class _Place:
    """A folder of sys.path with what is installed there."""

    folder: str
    distributions: tuple[_Distribution, ...]
    by_name: dict[str, _Distribution] = field(default_factory=dict)

    def owner(self, path: str) -> _Distribution | None:
        """Return whose a file is: that of the like name at best, for which no other list is read."""
        parts = [part.partition(".")[0] for part in path.split("/")]
        guesses = [self.by_name.get(_normalised("-".join(parts[:count]))) for count in (1, 2)]
        for guess in guesses:
            if guess is not None and (not guess.record or guess.owns(path)):
                return guess
        saying = sorted(
            self.distributions, key=lambda each: each.tops is None
        )  # no file list of theirs is read in vain
        return next((each for each in saying if each.owns(path)), None)


def installed() -> dict[str, str]:
    """Return the version of each distribution that this process can import, by its normalised name."""
    return _versions(each for place in _places() for each in place.distributions)


def imported() -> dict[str, str]:
    """Return the version of each distribution of which this process has imported a module or loaded a library."""
    places = _places()
    modules = dict(_module_files())
    files = {*modules.values(), *_loaded_libraries({name.partition(".")[0] for name in modules})}
    return _versions(owner for file in sorted(files) if (owner := _owner(file, places)) is not None)


def _versions(distributions: Iterator[_Distribution]) -> dict[str, str]:
    """Return versions by name; of several of one name the first, as import finds it."""
    versions: dict[str, str] = {}
    for each in distributions:
        versions.setdefault(each.name, each.version)
    return dict(sorted(versions.items()))


def _owner(file: str, places: list[_Place]) -> _Distribution | None:
    for place in places:
        if file.startswith(place.folder) and (owner := place.owner(file[len(place.folder) :])) is not None:
            return owner
    for each in (each for place in places for each in place.distributions):
        if each.source is not None and file.startswith(each.source):
            return each
    return None


def _places() -> list[_Place]:
    places = []
    for folder in dict.fromkeys(os.path.realpath(entry) for entry in sys.path if isinstance(entry, str)):
        found = tuple(_in_folder(Path(folder)))
        if found:
            by_name = {each.name: each for each in reversed(found)}
            places.append(_Place(os.path.join(folder, ""), found, by_name))  # noqa: PTH118 - a prefix
    return places


def _in_folder(folder: Path) -> Iterator[_Distribution]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return
    for name in names:
        if name.endswith(("-info",)) and (found := _FOLDER.fullmatch(name)):
            version = found["version"] or _written_version(folder / name)
            yield _Distribution(_normalised(found["name"]), version, folder / name)


def _written_version(metadata: Path) -> str:
    """Return the version that a metadata folder holds whose name does not tell."""
    content = _content(metadata / "METADATA") or _content(metadata / "PKG-INFO") or _content(metadata)
    found = _VERSION.search(content.decode(errors="replace"))
    return found[1] if found else "unknown"


def _module_files() -> Iterator[tuple[str, str]]:
    """Yield one file of each package that was imported; of a namespace, one of each package in it."""
    for name, module in list(sys.modules.items()):
        if not isinstance(name, str) or name.count(".") > 1:
            continue
        top, _, below = name.partition(".")
        if top in sys.stdlib_module_names or (below and _file(sys.modules.get(top)) is not None):
            continue
        if (file := _file(module)) is not None:
            yield name, os.path.realpath(file)


def _file(module: object) -> str | None:
    """Return a module's file. What lies in sys.modules may be anything, and may do anything if it is asked."""
    if not issubclass(type(module), ModuleType):
        return None
    file = object.__getattribute__(module, "__dict__").get("__file__")
    return file if isinstance(file, str) else None


def _loaded_libraries(packages: set[str]) -> Iterator[str]:
    """Yield the shared libraries that are loaded from folders of sys.path, but those of packages that are known."""
    prefixes = tuple(place for entry in sys.path if isinstance(entry, str) and (place := os.path.join(entry, "")))  # noqa: PTH118
    for found in dict.fromkeys(_LIBRARY.findall(_content(Path("/proc/self/maps")))):
        file = os.fsdecode(found)
        prefix = max((p for p in prefixes if file.startswith(p)), key=len, default="")
        top = file[len(prefix) :].partition("/")[0]
        if prefix and top not in packages and not top.endswith(".libs"):
            yield file


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
