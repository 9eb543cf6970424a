"""Grids: values at dotted paths, multiplied (`grid`) or side by side (`zip`), put into an entry of a study."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean
from harness.base.keys import canonical_json
from harness.base.source import parse_value
from harness.trial.resolve import named

Point = Mapping[str, Any]
_PARTS = ("task", "dataset", "model", "protocol", "compressor")
_BRINGS = ("at", "compressor", "compressors")
ROOTS = (*_PARTS, "compressors", "at", "seeds", "target", "command", "arguments", "inputs")
"""What a dotted path can begin with."""


@dataclass(frozen=True)
class Override:
    """A value at a dotted path for every trial, from `--set PATH=VALUE`."""

    path: str
    value: Any

    def __str__(self) -> str:
        """Return "protocol.epochs=2"."""
        return f"{self.path}={self.value if isinstance(self.value, str) else canonical_json(self.value)}"

    @classmethod
    def parse(cls, text: str) -> "Override":
        """Parse `protocol.epochs=2`; the value is YAML. Raises HarnessError if there is no `=`."""
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise HarnessError(f"--set takes PATH=VALUE, e.g. protocol.epochs=2, not '{text}'")
        return cls(path.strip(), parse_value(value, f"--set {path.strip()}"))


def taken(overrides: Sequence[Override], entry: Mapping[str, Any], point: Point) -> list[Override]:
    """Return the overrides that a trial takes: one of `compressor.x` is none of a trial without compressors.

    Unless others bring one: `at`, `compressor` or `compressors` themselves.
    """
    brought = any(override.path.partition(".")[0] in _BRINGS and not _reaches_in(override) for override in overrides)
    if brought or not any(_reaches_in(override) for override in overrides) or apply(entry, point).get("compressors"):
        return list(overrides)
    return [override for override in overrides if not _reaches_in(override)]


def _reaches_in(override: Override) -> bool:
    return override.path.startswith("compressor.")


def points(grid: Mapping[str, list[Any]], zipped: Mapping[str, list[Any]] | None = None) -> Iterator[Point]:
    """Yield the points of a grid and a zip: the product of the grid's values, the last path fastest, for each step of
    the zip, whose values advance together and slowest. Without either, one empty point.

    Within a point the shorter paths come first, so that `compressor.stride` reaches into a `compressor` of the same
    point. Raises FieldError for a zip of unequal lengths, and for a path that is in both.
    """
    zipped = zipped or {}
    _check_zip(grid, zipped)
    steps = zip(*zipped.values(), strict=True) if zipped else [()]
    paths = [*zipped, *grid]
    by_depth = sorted(paths, key=lambda path: path.count("."))
    for step in steps:
        for values in itertools.product(*grid.values()):
            point = dict(zip(paths, (*step, *values), strict=True))
            yield {path: point[path] for path in by_depth}


def count(grid: Mapping[str, list[Any]], zipped: Mapping[str, list[Any]] | None = None) -> int:
    """Return how many points `points` yields, without making them."""
    steps = max(map(len, zipped.values())) if zipped else 1
    return steps * math.prod(map(len, grid.values()))


def size(value: Any) -> int:
    """Return of how many things a value is made."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return 1 + sum(map(size, inner))


def _check_zip(grid: Mapping[str, list[Any]], zipped: Mapping[str, list[Any]]) -> None:
    for path, values in zipped.items():
        if path in grid:
            raise FieldError(("zip", path), f"'{path}' is in 'grid' and in 'zip': leave it out of one")
        first, length = next(iter(zipped)), len(next(iter(zipped.values())))
        if len(values) != length:
            raise FieldError(
                ("zip", path),
                f"the lists of 'zip' must be of one length: '{first}' has {length}, '{path}' {len(values)}",
            )


def copied(value: Any) -> Any:
    """Return a copy of plain data of a file, ten times as fast as `copy.deepcopy`: a grid asks for it per point."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def normalise(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy in which every named part is a mapping, so that dotted paths can reach into it."""
    result: dict[str, Any] = copied(dict(entry))
    for part in _PARTS:
        if part in result:
            result[part] = named(result[part])
    if isinstance(result.get("compressors"), dict):
        result["compressors"] = {site: named(options) for site, options in result["compressors"].items()}
    return result


def apply(entry: Mapping[str, Any], *points: Point) -> dict[str, Any]:
    """Return a copy of a normalised entry with the values of each point put in and `at` + `compressor` written out.

    Raises FieldError for a path that leads nowhere.
    """
    result: dict[str, Any] = copied(dict(entry))
    for point in points:
        for path, value in point.items():
            _put(result, path, copied(value))
    return _written_out(result)


def steps(path: str, parts: Mapping[str, Any]) -> list[str]:
    """Return the keys of a dotted path; a site of `parts` with dots in its own name (`layer1.0.conv1`) is one."""
    root, _, rest = path.partition(".")
    by_site = parts.get("compressors") if root == "compressors" else None
    sites = [s for s in by_site if f"{rest}.".startswith(f"{s}.")] if isinstance(by_site, Mapping) else []
    if not sites:
        return path.split(".")
    site = max(sites, key=len)
    return [root, site, *rest[len(site) :].split(".")[1:]]


def _put(target: dict[str, Any], path: str, value: Any) -> None:
    keys = path.split(".")
    if keys[0] not in ROOTS:
        raise FieldError((path,), f"'{path}' leads nowhere{did_you_mean(keys[0], ROOTS)}")
    if keys[0] == "compressors" and {"at", "compressor"} <= target.keys():
        _written_out(target)
    keys = steps(path, target)
    by_site = target.get("compressors")
    if keys[0] == "compressor" and "compressor" not in target and by_site and isinstance(by_site, dict):
        for site in by_site:  # all sites are meant
            _put_keys(by_site, [site, *keys[1:]], path, value if keys[1:] else named(value))
        return
    if len(keys) == (2 if keys[0] == "compressors" else 1) and keys[0] in (*_PARTS, "compressors"):
        value = named(value)
    elif keys == ["compressors"] and isinstance(value, dict):
        value = {site: named(options) for site, options in value.items()}
    _put_keys(target, keys, path, value)


def _put_keys(target: Any, keys: list[str], path: str, value: Any) -> None:
    for key in keys[:-1]:
        if not isinstance(target, dict):
            raise FieldError((path,), f"'{path}' leads nowhere: '{key}' has no options")
        target = target.setdefault(key, {})
    if not isinstance(target, dict):
        raise FieldError((path,), f"'{path}' leads nowhere: there are no options before '{keys[-1]}'")
    target[keys[-1]] = value


def _written_out(entry: dict[str, Any]) -> dict[str, Any]:
    """Replace the shorthand `at` + `compressor` by `compressors`, the same one at every site."""
    at, compressor = entry.pop("at", None), entry.pop("compressor", None)
    if at is None and compressor is None:
        return entry
    if at is None:
        raise FieldError(("compressor",), "'compressor' needs 'at', the site or sites where it is")
    if compressor is None:
        raise FieldError(("at",), "'at' needs 'compressor', what is there")
    if entry.get("compressors") is not None:
        raise FieldError(("compressors",), "write either 'at' with 'compressor', or 'compressors', not both")
    sites = [at] if isinstance(at, str) else at
    if not isinstance(sites, list) or not sites or not all(isinstance(site, str) for site in sites):
        raise FieldError(("at",), f"'at' must be a site or a list of sites, not {at!r}")
    entry["compressors"] = {site: copied(compressor) for site in sites}
    return entry
