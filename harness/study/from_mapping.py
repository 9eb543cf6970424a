"""A mapping that a program gives in place of a YAML file: checked as a file is, and nothing is written anywhere.

Where an error in a file names the line, one in a mapping names the path: `study: trials[1].seeds: …`.
"""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from harness.base.errors import SpecError
from harness.base.source import LARGEST, Source, YamlPath


@dataclass(frozen=True)
class GivenSource(Source):
    """Contents without a file. `lines` holds the paths that are there; the numbers mean nothing."""

    def error(self, path: YamlPath, message: str) -> SpecError:
        """Return an error that names the nearest thing around `path` that the mapping holds."""
        while path and path not in self.lines:
            path = path[:-1]
        return _error(self.file, path, message)


def given_source(data: Mapping[str, Any], name: str) -> Source:
    """Return a mapping as if it came from a file called `name`. Raises SpecError for what YAML could not hold.

    Tuples and ranges become lists, paths words, functions their names, numpy's numbers plain ones. The text is JSON,
    which is YAML too.
    """
    lines: dict[YamlPath, int] = {}
    plain = _plain(data, (), lines, name)
    text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    return GivenSource(file=name, data=plain, text=text, lines=lines)


def _plain(value: Any, path: YamlPath, lines: dict[YamlPath, int], name: str) -> Any:
    """Return a value as dicts, lists and scalars, noting each path."""
    if len(path) > _DEEPEST:
        raise _error(name, path[:2], "things stand too deep within each other, or within themselves")
    if len(lines) > LARGEST:
        raise _error(name, path[:2], f"it holds more than {LARGEST:,} things")
    lines[path] = 0
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise _error(name, path, f"the key {key!r} must be a word")
        return {key: _plain(item, (*path, key), lines, name) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item, (*path, i), lines, name) for i, item in enumerate(value)]
    if callable(value):
        return _reference(value, path, name)
    return _scalar(value, path, name)


_DEEPEST = 50


def _scalar(value: Any, path: YamlPath, name: str) -> Any:
    """Return a word or a number as YAML has it."""
    if isinstance(value, PurePath):
        return str(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if value is None or type(value) in {str, bool, int} or (type(value) is float and math.isfinite(value)):
        return value
    raise _error(name, path, f"{value!r} is not a plain value: numbers, words, lists and mappings are")


def _reference(value: Any, path: YamlPath, name: str) -> str:
    """Return `module:name` of a function or class, or `file.py:name` if the script in the current folder has it.

    A worker process imports it by that: what is in a notebook alone it cannot.
    """
    module, said = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if module == "__main__":
        script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
        if script.suffix == ".py" and script.resolve().parent == Path.cwd().resolve():
            return f"{script.name}:{said}"
    if module in {None, "__main__"} or not said.isidentifier():
        said = getattr(value, "__name__", None) or repr(value)
        cure = f"put it into a file and name that, 'file.py:{said}'"
        raise _error(name, path, f"a worker process cannot import '{said}' from here: {cure}")
    return f"{module}:{said}"


def _error(name: str, path: YamlPath, message: str) -> SpecError:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return SpecError(message, file=f"{name}: {place}" if place else name)
