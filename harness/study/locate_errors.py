"""Where the value is that an error is about: on the command line, in an entry's grid or zip, or in a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, SpecError
from harness.base.source import YamlPath
from harness.study.grid import Override, Point
from harness.study.include import Said, WrittenEntry


@contextmanager
def locate_errors(
    entry: WrittenEntry, parts: Mapping[str, Said], point: Point | None = None, overrides: Sequence[Override] = ()
) -> Iterator[None]:
    """Give a FieldError about a trial its file and line. `parts` is what the entry says with the defaults."""
    try:
        yield
    except FieldError as error:
        raise _placed(error, entry, parts, point or {}, overrides) from error.__cause__


def _placed(
    error: FieldError, entry: WrittenEntry, parts: Mapping[str, Said], point: Point, overrides: Sequence[Override]
) -> HarnessError:
    forms = [error.path, *_shorthand(error.path)]
    if to_blame := _last_setter([override.path for override in overrides], forms):
        return SpecError(error.message, file=f"--set {to_blame}")
    if to_blame := _last_setter(point, forms):
        return entry.error(_item(entry, to_blame, point), error.message)
    for form in forms:
        if form and form[0] in parts:
            return parts[str(form[0])].error(form[1:], error.message)
    if error.path and not entry.has(error.path[:1]) and entry.source.has(error.path[:1]):  # a key without a value
        return entry.source.error(error.path, error.message)
    return entry.error(error.path, error.message)


def _item(entry: WrittenEntry, path: str, point: Point) -> YamlPath:
    """Return where the value is that the point has at `path`."""
    key = "grid" if path in (entry.data.get("grid") or {}) else "zip"
    values = entry.data[key][path]
    return (key, path, next(number for number, value in enumerate(values) if value is point[path]))


def _last_setter(dotted: Iterable[str], forms: Sequence[YamlPath]) -> str | None:
    """Return which of the dotted paths set what an error is about: the longest, and of these the last."""
    found = None
    for path in dotted:
        first, *_ = dotted_forms = [_dotted(form) for form in forms]
        sets = any(form.startswith(_dotted((path,))) for form in dotted_forms) or _dotted((path,)).startswith(first)
        if sets and (found is None or path.count(".") >= found.count(".")):
            found = path
    return found


def _dotted(path: YamlPath) -> str:
    """Return a path as a grid writes it, whose sites may have dots in their own names; each key ends with a dot."""
    return "".join(f"{key}." for key in path)


def _shorthand(path: YamlPath) -> list[YamlPath]:
    """Return what `compressors.SITE.x` may have been written as: `compressor.x`, or `at` for the site itself."""
    if path[:1] != ("compressors",) or len(path) < 2:
        return []
    return [("compressor", *path[2:])] if len(path) > 2 else [("at",)]
