"""What `dataset` means in a study: one of ours by name, or a person's own data (docs/data.md).

    dataset: {kind: folder, path: photos, size: 64, test: 0.2}
    dataset: {kind: arrays, path: cells.npz}
    dataset: {kind: "shapes:make", count: 100}           # a function in a file beside the study
    dataset: shapes                                      # an entry point of an installed package

Paths start at the study's folder, or if nothing is there, at the data root ($HARNESS_DATA). Own data are known by
their contents alone: where they are, how they are named and whose function gave them is in no key.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.attempt.data import DatasetDeclaration
from harness.base.checks import FieldError, validate
from harness.base.keys import canonical_json
from harness.plugins.plugin import check_options, load_ours, load_plugin, plugin_options
from harness.plugins.registry import PluginKind
from harness.trial.datasets import DATASETS

_DECLARE = "harness.data.own.declare:declare"  # by name: data are none of this package's business
_DATA_ROOT = "harness.data.locations:data_root"

Pixels = Annotated[int, Field(ge=1, strict=True)]


class _Files(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)] | None = None
    test: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None


class Folder(_Files):
    """A folder of images, a class a folder. `size` is N for N×N, or [height, width].

    `nested`: what is done with images in folders inside class folders, by default as with those that cannot be read.
    """

    size: tuple[Pixels, Pixels] | None = None
    grey: Annotated[bool, Field(strict=True)] = False
    corrupt: Literal["refuse", "skip"] = "refuse"
    nested: Literal["refuse", "take", "skip"] | None = None

    @field_validator("size", mode="before")
    @classmethod
    def _both(cls, value: Any) -> Any:
        if type(value) is int and value >= 1:
            return (value, value)
        if isinstance(value, list) and len(value) == 2 and all(type(n) is int and n >= 1 for n in value):
            return value
        raise ValueError("a whole number of pixels, or [height, width]")


class Arrays(_Files):
    """Arrays in a .npz file. `layout` says where the channels stand, where the shape does not tell."""

    layout: Literal["nchw", "nhwc"] | None = None


FORMS: Mapping[str, type[_Files]] = {"folder": Folder, "arrays": Arrays}

_Found = TypeVar("_Found")
_seen: ContextVar[dict[str, Any] | None] = ContextVar("seen", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Within this, files that occur several times are looked at once: a study has many trials on the same."""
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def once(what: str, look: Callable[[], _Found]) -> _Found:
    """Return what `look` finds, or what it found before about the same, within `looking_once`."""
    seen = _seen.get()
    if seen is None:
        return look()
    if what not in seen:
        seen[what] = look()
    found: _Found = seen[what]
    return found


def resolve_dataset(value: Any, folders: Sequence[str]) -> DatasetDeclaration:
    """Return the declaration of `NAME` or `{kind: NAME, option: value}`.

    `folders` are the study's own, then those it includes from.

    Raises FieldError with the path within `value`: an unknown name or option, data that are not there or of no use.
    """
    kind, options = DATASETS.split(value)
    if isinstance(kind, str) and kind in FORMS:
        name, source = _files(kind, validate(FORMS[kind], options), folders)
    else:
        found = DATASETS.resolve(kind, known=FORMS)
        if not isinstance(found, PluginKind):
            for key in options:
                raise FieldError((key,), f"unknown key '{key}': the dataset '{kind}' has no options")
            return found
        name, source = _function(kind, found.reference, options, folders)
    declared: DatasetDeclaration = once(canonical_json([name, source]), lambda: load_ours(_DECLARE)(name, source))
    return declared


def _files(kind: str, options: _Files, folders: Sequence[str]) -> tuple[str, dict[str, Any]]:
    path = place_of(options.path, folders)
    source = {"kind": kind, **options.model_dump(mode="json", exclude_defaults=True), "path": path}
    given = source.pop("name", None)
    words = [Path(path).name or path]
    if "size" in source:
        height, width = source["size"]
        words.append(f"{width}×{height}")
    if "grey" in source:
        words.append("grey")
    return _name(given, " ".join(words)), source


def place_of(path: str, folders: Sequence[str]) -> str:
    """Return where a path leads: from the first of the folders, last the data root, where something is there.

    Where nothing is, from the first.
    """
    bases = [*(folders or ["."]), load_ours(_DATA_ROOT)()]
    places = [os.path.abspath(Path(folder) / Path(path).expanduser()) for folder in bases]  # noqa: PTH100
    return next((place for place in places if os.path.exists(place)), places[0])  # noqa: PTH110


def _function(
    kind: str, reference: str, options: Mapping[str, Any], folders: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return name and source of what a function gives; `name` is the one option that is not its own."""
    given = options.get("name")
    if given is not None and (not isinstance(given, str) or not given):
        raise FieldError(("name",), f"'name' must be a word or a text, not {given!r}")
    target, digest = load_plugin(reference, folders)
    if not callable(target):
        raise FieldError(("kind",), f"'{kind}' is no function, but {type(target).__name__}")
    kept = plugin_options(target, {key: value for key, value in options.items() if key != "name"})
    check_options(kind, kept)
    words = ", ".join([kind, *(f"{key} {value}" for key, value in kept.items())])
    source = {"kind": reference, "options": kept, "folders": list(folders), "code": digest}
    return _name(given, words), source


def _name(given: str | None, own: str) -> str:
    """Return what data are called: never as ours are, with whose results a table would mix them up."""
    if given in DATASETS:
        raise FieldError(("name",), f"'{given}' is the name of another dataset: give yours another")
    return given or (f"{own} (own)" if own in DATASETS else own)
