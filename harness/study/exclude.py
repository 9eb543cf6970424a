"""What an entry leaves out of its grid and zip: `exclude`, a list of conditions, each a mapping from path to value.

A point is left out if it fulfils all of some condition. Paths lead into the entry as it is written, with the study's
defaults and the point put in, before `--set`. What a protocol, model or compressor has by itself, the entry does not
set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.study.grid import ROOTS, Point, apply, steps

Condition = Mapping[str, Any]
_NOTHING = object()


@dataclass(frozen=True)
class View:
    """A normalised entry and a point to put into it."""

    entry: Mapping[str, Any]
    point: Point

    @cached_property
    def parts(self) -> Mapping[str, Any]:
        """The entry with the point put in, and `at` beside it. Raises FieldError for a path that leads nowhere."""
        at = self.point.get("at", self.entry.get("at"))
        return {**apply(self.entry, self.point), **({} if at is None else {"at": at})}

    def found(self, path: str) -> list[Any]:
        """Return the values that a path leads to: one for each site where it begins with `compressor`."""
        root, *keys = steps(path, self.parts)
        by_site = self.parts.get("compressors")
        if root == "compressor":
            starts = list(by_site.values()) if isinstance(by_site, Mapping) else []
        else:
            starts = [self.parts.get(root, _NOTHING)]
        return [_inside(start, keys) for start in starts]

    def fulfils(self, condition: Condition) -> bool:
        """Return whether each path leads to the value that the condition names, or to one of those that it lists."""
        for path, wanted in condition.items():
            values = self.found(path)
            either = [wanted, *wanted] if isinstance(wanted, list) else [wanted]
            if not values or not all(any(same(value, one) for one in either) for value in values):
                return False
        return True


def left(views: Sequence[View], conditions: Sequence[Condition]) -> list[Point]:
    """Return the points that fulfil no condition.

    Raises FieldError, by its path in the entry, for a path that no point sets, a condition that no point fulfils, and
    if no point is left; and if there is only the one point of an entry without grid and zip.
    """
    if not any(view.point for view in views):
        raise FieldError(("exclude",), "'exclude' can only be used together with 'grid' or 'zip'")
    out: set[int] = set()
    for number, condition in enumerate(conditions):
        for path in condition:
            if (why := leads_nowhere(path, views, "nothing in this entry")) is not None:
                raise FieldError(("exclude", number, path), why)
        fulfilled = {index for index, view in enumerate(views) if view.fulfils(condition)}
        if not fulfilled:
            raise FieldError(("exclude", number), "this condition excludes nothing: no point fulfils all of it")
        out |= fulfilled
    if len(out) == len(views):
        raise FieldError(("exclude",), "nothing is left of this entry: every point is excluded")
    return [view.point for index, view in enumerate(views) if index not in out]


def leads_nowhere(path: str, views: Sequence[View], nobody: str = "no trial") -> str | None:
    """Return why a path leads to nothing that any of the views sets; None if it leads somewhere."""
    if any(value is not _NOTHING for view in views for value in view.found(path)):
        return None
    root, *keys = path.split(".")
    if root not in ROOTS:
        return f"'{path}' leads nowhere{did_you_mean(root, ROOTS)}"
    before = [value for view in views for value in view.found(path.rpartition(".")[0])] if keys else []
    known = {key for value in before if isinstance(value, Mapping) for key in value}
    near = did_you_mean(keys[-1], known) if keys else ""
    return f"'{path}' leads nowhere: {nobody} sets it{near}"


def _inside(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return _NOTHING
        value = value[key]
    return value


def same(value: Any, wanted: Any) -> bool:
    """Return whether two values are the same: numbers by what they are worth, a part with options by its name too."""
    if isinstance(value, Mapping) and isinstance(wanted, str):
        return bool(value.get("kind") == wanted)
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return value.keys() == wanted.keys() and all(same(value[key], wanted[key]) for key in value)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(same, value, wanted))
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
