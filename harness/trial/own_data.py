"""What `dataset` means in a study: one of ours by name, or a person's own data (docs/data.md).

    dataset: {kind: folder, path: photos, size: 64, test: 0.2}
    dataset: {kind: arrays, path: cells.npz}
    dataset: {kind: photographs, path: COCO, take: 15000, size: 224}     # without labels, of any sizes
    dataset: {kind: bsd500, take: 20}                    # the first 20 of a named set of photographs, to test on
    dataset: {kind: bsd500, take: 20, size: 224}         # the same images, resized
    dataset: {kind: "shapes:make", count: 100}           # a function in a file beside the study
    dataset: shapes                                      # an entry point of an installed package

Paths start at the study's folder, or if nothing is there, at the data root ($HARNESS_DATA). Own data are known by
their contents alone: where they are, how they are named and whose function gave them is in no key.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.base.checks import FieldError, validate
from harness.base.keys import canonical_json
from harness.plugins.plugin import check_options, load_ours, load_plugin, plugin_options
from harness.plugins.registry import PluginKind
from harness.trial.datasets import DATASETS, first_fingerprint, resized_fingerprint

_DECLARE = "harness.data.own.declare:declare"  # by name: data are none of this package's business
_DECLARE_PHOTOGRAPHS = "harness.data.photographs:declare"
_HAS_TRAINING = "harness.data.own.listing:has_training"
_DATA_ROOT = "harness.data.locations:data_root"

Pixels = Annotated[int, Field(ge=1, strict=True)]


def _height_and_width(value: Any) -> Any:
    """Return a size as it is written, N or [height, width], as a pair."""
    if type(value) is int and value >= 1:
        return (value, value)
    if isinstance(value, list) and len(value) == 2 and all(type(n) is int and n >= 1 for n in value):
        return value
    raise ValueError("a whole number of pixels, or [height, width]")


class _Files(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    path: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)] | None = None
    test: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None


class _Images(_Files):
    """Image files. `size` is N for N×N, or [height, width]."""

    size: tuple[Pixels, Pixels] | None = None
    grey: Annotated[bool, Field(strict=True)] = False
    corrupt: Literal["refuse", "skip"] | Annotated[float, Field(gt=0, lt=1, strict=True)] = "refuse"

    _sides = field_validator("size", mode="before")(_height_and_width)


class Folder(_Images):
    """A folder of images, a class a folder.

    `nested`: what is done with images in folders inside class folders, by default as with those that cannot be read.
    `without`: folders whose images are left out of training, found by the bytes of their files. `short_side`: images
    are kept whole, their shorter side scaled to this (`harness.data.own.scaled`); then `decode` says whether they are
    held in memory decoded (by default if they fit), and `workers` how many processes decode what is not.
    """

    nested: Literal["refuse", "take", "skip"] | None = None
    without: tuple[str, ...] = ()
    short_side: Pixels | None = None
    decode: Literal["once", "each_time"] | None = None
    workers: Pixels | None = None

    @field_validator("without", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole_images_have_a_crop(self) -> Self:
        if self.short_side is None and (self.decode or self.workers):
            raise ValueError("with 'short_side' if it has 'decode' or 'workers': other images are held in memory")
        if self.short_side is not None and self.size is None:
            raise ValueError("with 'size', what a network gets of images of that short side, e.g. size: 224")
        return self


class Photographs(_Images):
    """All images below a folder, without labels. `take` of them are chosen at random by `choose_seed`."""

    take: Pixels | None = None
    choose_seed: Annotated[int, Field(ge=0, strict=True)] = 0


class Arrays(_Files):
    """Arrays in a .npz file. `layout` says where the channels stand, where the shape does not tell."""

    layout: Literal["nchw", "nhwc"] | None = None


FORMS: Mapping[str, type[_Files]] = {"folder": Folder, "arrays": Arrays, "photographs": Photographs}

_Found = TypeVar("_Found")
_seen: ContextVar[dict[str, Any] | None] = ContextVar("seen", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Within this, what occurs several times is looked at once: a study has many trials on the same data."""
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


def resolve_dataset(value: Any, folders: Sequence[str], *, test_only: bool = False) -> DatasetDeclaration:
    """Return the declaration of `NAME` or `{kind: NAME, option: value}`.

    `folders` are the study's own, then those it includes from. `test_only`: photographs are all to be tested on, if
    no part of them is named for that.

    Raises FieldError with the path within `value`: an unknown name or option, data that are not there or of no use.
    """
    kind, options = DATASETS.split(value)
    if isinstance(kind, str) and kind in FORMS:
        name, source = _files(kind, validate(FORMS[kind], options), folders)
        if test_only and "test" not in source and _is_tested_whole(kind, source):
            source["test_only"] = True
    else:
        found = DATASETS.resolve(kind, known=FORMS)
        if not isinstance(found, PluginKind):
            return _part_of(found, options)
        name, source = _function(kind, found.reference, options, folders)
    declare = _DECLARE_PHOTOGRAPHS if kind == "photographs" else _DECLARE
    declared: DatasetDeclaration = once(canonical_json([name, source]), lambda: load_ours(declare)(name, source))
    return declared


def _is_tested_whole(kind: str, source: Mapping[str, Any]) -> bool:
    """Return whether all of some images is the test split if nothing is said: photographs, folders without `train`."""
    if kind == "photographs":
        return True
    return "short_side" in source and not load_ours(_HAS_TRAINING)(Path(source["path"]))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    take: Pixels | None = None
    size: tuple[Pixels, Pixels] | None = None

    _sides = field_validator("size", mode="before")(_height_and_width)


def _part_of(whole: DatasetDeclaration, options: Mapping[str, Any]) -> DatasetDeclaration:
    """Return a named set, or of a set of photographs to test on the first images in canonical order, or all resized.

    The images are taken first, then resized. Their fingerprint follows from that of the whole, which is checked when
    they are loaded.
    """
    if not options:
        return whole
    test = whole.splits.get("test")
    if whole.has_labels or [*whole.splits] != ["test"] or test is None or test.bytes % test.images:
        key = next(iter(options))
        raise FieldError((key,), f"unknown key '{key}': the dataset '{whole.name}' has no options")
    part, found = validate(_Part, dict(options)), whole
    if part.take is not None:
        if part.take > test.images:
            raise FieldError(("take",), f"'{whole.name}' has {test.images} images, not {part.take}")
        found = first_of(found, "test", part.take)
    return found if part.size is None else _resized(found, *part.size)


def _resized(whole: DatasetDeclaration, height: int, width: int) -> DatasetDeclaration:
    """Return photographs to test on, each brought to a size (`harness.data.own.images`)."""
    known = whole.splits["test"]
    name, channels = f"{whole.name} {width}×{height}", whole.input_shape[0]
    split = DatasetSplit(
        name,
        "test",
        resized_fingerprint(known.fingerprint, height, width),
        known.images,
        channels * height * width * known.images,
    )
    return replace(
        whole,
        name=name,
        description=f"{whole.description}, resized to {width}×{height}",
        input_shape=(channels, height, width),
        splits={"test": split},
        part_of=whole.files_of,
    )


def first_of(whole: DatasetDeclaration, split: str, count: int) -> DatasetDeclaration:
    """Return the first images of a split in canonical order, a dataset with that split alone; images of one size.

    Its name says which split that is, unless it is `test`: an evaluation may be on the first images of several.
    """
    known = whole.splits[split]
    name = f"{whole.name if split == 'test' else f'{whole.name} {split}'}[:{count}]"
    fingerprint = first_fingerprint(known.fingerprint, count)
    return replace(
        whole,
        name=name,
        description=f"the first {count} images of {whole.name} in canonical order",
        splits={split: DatasetSplit(name, split, fingerprint, count, known.bytes // known.images * count)},
        part_of=whole.name,
    )


def _files(kind: str, options: _Files, folders: Sequence[str]) -> tuple[str, dict[str, Any]]:
    path = place_of(options.path, folders)
    source = {"kind": kind, **options.model_dump(mode="json", exclude_defaults=True), "path": path}
    if "without" in source:
        source["without"] = [place_of(other, folders) for other in source["without"]]
    given = source.pop("name", None)
    words = [Path(path).name or path]
    if "size" in source:
        height, width = source["size"]
        words.append(f"{width}×{height}")
    if "short_side" in source:
        words.append(f"of {source['short_side']}")
    if "grey" in source:
        words.append("grey")
    words += [f"without {Path(other).name}" for other in source.get("without", ())]
    if "take" in source:  # data of other contents have another name, by which tables know them
        words.append(f"take {source['take']}")
    if source.get("choose_seed"):
        words.append(f"choose_seed {source['choose_seed']}")
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
        raise FieldError(("kind",), f"'{kind}' is not a function, but {type(target).__name__}")
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
