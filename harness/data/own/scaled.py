"""A folder of images, one folder per class, that are kept whole: `{kind: folder, size: 224, short_side: 256}`.

All are read once, when a study is planned: each is decoded (so that what is corrupt is known by name), and known by the
bytes of its file. What is found is kept below the data root (an index), and what fits into memory decoded too. A set
that does not fit is decoded by processes whenever it is needed (`harness.data.own.decoder`). Either way its canonical
order is that of the images' hashes, and training sees the same pixels.

Test images are the centre `size`×`size` of the scaled ones; training images too, unless the protocol draws crops.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.base.files import atomic_open
from harness.data.dataset import check, of_the_first
from harness.data.fingerprint import file_hash, fingerprint
from harness.data.own.cache import DAMAGED, keep_facts, kept_facts, place_of, warn
from harness.data.own.contents import SMALLEST, Counts
from harness.data.own.copies import leave_out, state_of_others
from harness.data.own.decoder import Form
from harness.data.own.folder import check_corrupt, nested_of, problem_of, reason_of
from harness.data.own.images import UNREADABLE, decode_whole, prepare
from harness.data.own.listing import ImageFile, Listing, list_folder
from harness.data.own.memory import PART, free_bytes, memory_bytes
from harness.trial.datasets import validation_size

_AT_ONCE = 256  # images that are decoded before they are written
_NOT_OF_CONTENTS = ("workers", "decode")  # options by which neither pixels nor their order differ


@dataclass(frozen=True)
class ScaledImages:
    """Images of a split in canonical order. They are in `pixels`, or yet to be decoded if that is None."""

    files: tuple[Path, ...]
    labels: NDArray[np.int64]  # (N,)
    sizes: NDArray[np.int32]  # (N, 2): height, width
    first: NDArray[np.int64]  # (N,): of each image, its first row in `pixels`
    pixels: NDArray[np.uint8] | None  # (all pixels of the split, C)
    form: Form
    crop: tuple[int, int]  # height and width of what a network gets
    workers: int

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Sequence[int]) -> "ScaledImages":
        """Return the images at some places, in this order."""
        files = tuple(self.files[place] for place in places) if self.files else ()
        chosen = np.asarray(places, np.int64)
        return replace(
            self, files=files, labels=self.labels[chosen], sizes=self.sizes[chosen], first=self.first[chosen]
        )


@dataclass(frozen=True)
class _Index:
    """What is known of a split's images in canonical order, without their pixels."""

    names: list[str]  # relative to the folder
    labels: NDArray[np.int64]
    sizes: NDArray[np.int32]
    first: NDArray[np.int64]
    hashes: NDArray[np.uint8]  # (N, 32)


def load(source: Mapping[str, Any], root: Path) -> dict[str, ScaledImages]:
    """Return the splits of a source: train, validation (the first of train), rest and test, as far as it has them.

    Raises FieldError if the files are not those of a folder of classes, or cannot be read.
    """
    state = _state(source, _listing(source))
    if _kept_index(source, root, state) is None:
        read_facts(source, root)
    index = _kept_index(source, root, state)
    if index is None:
        raise HarnessError(
            f"{source['path']} changed while it was read, or what was found could not be kept: run it again"
        )
    splits = {split: _images(source, root, split, found) for split, found in index.items()}
    if "train" in splits:
        kept_out = validation_size(len(splits["train"]))
        splits["validation"] = splits["train"].at(range(kept_out))
        splits["rest"] = splits["train"].at(range(kept_out, len(splits["train"])))
    return splits


def load_scaled(declaration: DatasetDeclaration, root: Path) -> dict[str, ScaledImages]:
    """Return the splits of a declared dataset. Raises HarnessError if they are not what was declared."""
    source = declaration.source or {}
    splits = load(source, root)
    index = _kept_index(source, root, _state(source, _listing(source))) or {}
    measured = _measured(declaration.name, source, index)
    if declaration.part_of is not None:
        splits = {split: splits[split].at(range(part.images)) for split, part in declaration.splits.items()}
        measured = of_the_first(declaration, measured)
    check(declaration, measured, source["path"])
    return splits


def facts_of(source: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    """Return what is known of a source: plain data (as `harness.data.own.declare`); read again if files changed."""
    listing = _listing(source)
    kept = kept_facts(_key(source), root, _state(source, listing))
    return kept if kept is not None else _read(source, root, listing)


def read_facts(source: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    """Return what `facts_of` returns, from the images themselves and not from what was kept."""
    return _read(source, root, _listing(source))


def _listing(source: Mapping[str, Any]) -> Listing:
    only = bool(source.get("test_only"))
    return list_folder(Path(source["path"]), "test" in source, nested_of(source), test_only=only)


def _state(source: Mapping[str, Any], listing: Listing) -> str:
    return listing.state() + state_of_others(source)


def _key(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source without what its contents do not depend on."""
    return {name: value for name, value in source.items() if name not in _NOT_OF_CONTENTS}


def _form(source: Mapping[str, Any]) -> Form:
    return Form(source["short_side"], bool(source.get("grey")))


# Reading all once


def _read(source: Mapping[str, Any], root: Path, listing: Listing) -> Mapping[str, Any]:
    """Decode every image once; keep the index, the pixels if they fit, and the facts. Returns the facts."""
    state = _state(source, listing)
    listing = leave_out(listing, source)
    crop, short_side = tuple(source["size"]), source["short_side"]
    if short_side < max(crop):
        raise FieldError(
            ("short_side",), f"crops of {crop[1]}×{crop[0]} do not fit into images of short side {short_side}"
        )
    form, found, corrupt, counts = _form(source), dict[str, list[_Found]](), list[str](), Counts(_form(source).channels)
    for split, files in listing.splits.items():
        found[split] = []
        with _Pool(source, root, state, split) as pool:
            for file, one in _decoded(files, (form.channels, *crop, short_side), form):
                if isinstance(one, str):
                    corrupt.append(f"{file.path} ({one})")
                    continue
                pixels, digest = one
                found[split].append(_Found(file, digest, (pixels.shape[0], pixels.shape[1]), pool.add(pixels)))
                if split == "train":
                    counts.add(pixels)
    check_corrupt(source, corrupt, sum(map(len, listing.splits.values())))
    if "test" in source:
        found = _take_test(found["train"], source["test"], listing.classes)
    index = {split: _index(Path(source["path"]), of_split) for split, of_split in found.items()}
    _check(source, index, listing.classes)
    _keep_index(source, root, state, index)
    facts = {
        "input_shape": [form.channels, *crop],
        "class_names": list(listing.classes),
        "splits": {
            split: {"fingerprint": one.fingerprint, "images": one.images, "bytes": one.bytes}
            for split, one in _measured("", source, index).items()
        },
        "normalization": [list(values) for values in counts.normalization()] if "train" in index else None,
        "corrupt": corrupt,
        "notes": list(listing.notes),
    }
    keep_facts(_key(source), root, state, facts)
    return facts


@dataclass(frozen=True)
class _Found:
    """A decoded image: its file, its height and width, and where its pixels begin in the pool."""

    file: ImageFile
    digest: bytes
    size: tuple[int, int]
    first: int


def _decoded(
    files: Sequence[ImageFile], shape: tuple[int, ...], form: Form
) -> Iterator[tuple[ImageFile, tuple[NDArray[np.uint8], bytes] | str]]:
    """Yield files with pixels (H, W, C) and hash, or why they cannot be read, a few at a time, decoded side by side."""
    prepare()

    def one(file: ImageFile) -> tuple[NDArray[np.uint8], bytes] | str:
        if problem := problem_of(file):
            return problem
        try:
            data = file.path.read_bytes()
            return decode_whole(data, form.short_side, grey=form.grey), file_hash(shape, file.label, data)
        except UNREADABLE as error:
            return reason_of(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        for start in range(0, len(files), _AT_ONCE):
            part = files[start : start + _AT_ONCE]
            yield from zip(part, pool.map(one, part), strict=True)


class _Pool:
    """The file with a split's pixels, one image after the other; not written if they will not fit into memory."""

    def __init__(self, source: Mapping[str, Any], root: Path, state: str, split: str) -> None:
        self._place, self._state = place_of(_key(source), root, f".{split}.pixels"), state
        self._limit = 0.0 if source.get("decode") == "each_time" else memory_bytes() / PART
        self._bytes = self._next = 0

    def __enter__(self) -> Self:
        self._place.unlink(missing_ok=True)
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._place.with_suffix(".writing").open("wb") if self._limit else None
        except OSError:
            self._file = None  # keeping the index will fail, too, and that is reported
        return self

    def add(self, pixels: NDArray[np.uint8]) -> int:
        """Add an image (H, W, C) and return its first row among all pixels."""
        first = self._next
        self._next += pixels.shape[0] * pixels.shape[1]
        self._bytes += pixels.nbytes
        if self._file is not None and self._bytes > self._limit:
            self._drop()
        if self._file is not None:
            self._file.write(pixels.tobytes())
        return first

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            if kind is None:
                self._place.with_suffix(".writing").replace(self._place)
            else:
                self._drop()

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
            self._place.with_suffix(".writing").unlink(missing_ok=True)
            self._file = None


def _take_test(images: Sequence[_Found], part: float, classes: Sequence[str]) -> dict[str, list[_Found]]:
    """Return `train` and `test`: of each class's n images the first ⌊n·part⌋ by their hashes are the test split."""
    splits: dict[str, list[_Found]] = {"train": [], "test": []}
    for label, name in enumerate(classes):
        members = sorted((one for one in images if one.file.label == label), key=lambda one: one.digest)
        count = int(len(members) * Fraction(str(part)))
        if members and not count:
            raise FieldError(("test",), f"test: {part} takes none of the {len(members)} images of the class '{name}'")
        splits["test"] += members[:count]
        splits["train"] += members[count:]
    return splits


def _check(source: Mapping[str, Any], index: Mapping[str, _Index], classes: Sequence[str]) -> None:
    """Raise FieldError if nobody could train on this."""
    place = source["path"]
    if len(classes) < 2:
        raise FieldError(("path",), f"{place} has images of one class only: at least two are needed")
    for split, found in index.items():
        wanted = SMALLEST if split == "train" else 1
        if len(found.labels) < wanted:
            raise FieldError(
                ("path",), f"{place} has {len(found.labels)} images for '{split}': at least {wanted} are needed"
            )
    if "train" in index:
        of_each = np.bincount(index["train"].labels, minlength=len(classes))
        if not of_each.all():
            raise FieldError(
                ("path",), f"{place} has no training images of the class '{classes[int(of_each.argmin())]}'"
            )


# What is kept


def _index(folder: Path, found: Sequence[_Found]) -> _Index:
    ordered = sorted(found, key=lambda one: one.digest)
    return _Index(
        names=[os.fspath(one.file.path.relative_to(folder)) for one in ordered],
        labels=np.array([one.file.label for one in ordered], np.int64),
        sizes=np.array([one.size for one in ordered], np.int32).reshape(-1, 2),
        first=np.array([one.first for one in ordered], np.int64),
        hashes=np.frombuffer(b"".join(one.digest for one in ordered), np.uint8).reshape(-1, 32),
    )


def _measured(name: str, source: Mapping[str, Any], index: Mapping[str, _Index]) -> dict[str, DatasetSplit]:
    """Return what the splits are by contents."""
    measured, channels = {}, _form(source).channels
    for split, found in index.items():
        hashes = [row.tobytes() for row in found.hashes]
        area = found.sizes.astype(np.int64).prod(1)
        counts = {split: len(hashes)}
        if split == "train":
            counts["validation"] = validation_size(len(hashes))
        for part, count in counts.items():
            size = int(area[:count].sum()) * channels
            measured[part] = DatasetSplit(name, part, fingerprint(hashes[:count]), count, size)
    return measured


def _keep_index(source: Mapping[str, Any], root: Path, state: str, index: Mapping[str, _Index]) -> None:
    arrays: dict[str, NDArray[Any]] = {"state": np.array(state), "splits": np.array(list(index))}
    for split, found in index.items():
        arrays[f"{split}_names"] = np.frombuffer(json.dumps(found.names).encode(), np.uint8)
        arrays |= {f"{split}_{part}": getattr(found, part) for part in ("labels", "sizes", "first", "hashes")}
    try:
        with atomic_open(place_of(_key(source), root, ".index.npz")) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy declares allow_pickle only
    except OSError as error:
        warn(root, error)


def _kept_index(source: Mapping[str, Any], root: Path, state: str) -> dict[str, _Index] | None:
    """Return the index that was kept for this state of the files, or None."""
    try:
        with np.load(place_of(_key(source), root, ".index.npz"), allow_pickle=False) as arrays:
            if str(arrays["state"]) != state:
                return None
            return {
                split: _Index(
                    json.loads(arrays[f"{split}_names"].tobytes()),
                    *(arrays[f"{split}_{part}"] for part in ("labels", "sizes", "first", "hashes")),
                )
                for split in arrays["splits"].tolist()
            }
    except DAMAGED:
        return None


def _images(source: Mapping[str, Any], root: Path, split: str, index: _Index) -> ScaledImages:
    folder, form = Path(source["path"]), _form(source)
    images = ScaledImages(
        files=tuple(folder / name for name in index.names),
        labels=index.labels,
        sizes=index.sizes,
        first=index.first,
        pixels=None,
        form=form,
        crop=tuple(source["size"]),
        workers=source.get("workers") or os.cpu_count() or 1,
    )
    return replace(images, pixels=_pixels(source, root, split, images)) if _is_held(source, images) else images


def _is_held(source: Mapping[str, Any], images: ScaledImages) -> bool:
    """Return whether a split is to be held in memory decoded: as the source says, or if it fits."""
    decode: Literal["once", "each_time"] | None = source.get("decode")
    if decode is not None:
        return decode == "once"
    needed = int(images.sizes.astype(np.int64).prod(1).sum()) * images.form.channels
    return needed * PART <= memory_bytes() and needed <= free_bytes()


def _pixels(source: Mapping[str, Any], root: Path, split: str, images: ScaledImages) -> NDArray[np.uint8]:
    """Return all pixels of a split: those that were kept, or decoded again."""
    channels = images.form.channels
    of_split = "train" if "test" in source else split  # a test split that was taken out of it
    place = place_of(_key(source), root, f".{of_split}.pixels")
    needed = int((images.first + images.sizes.astype(np.int64).prod(1)).max())
    if place.is_file() and place.stat().st_size >= needed * channels:
        return np.fromfile(place, np.uint8, needed * channels).reshape(-1, channels)
    pixels = np.empty((needed, channels), np.uint8)
    files = [ImageFile(path, 0, 0, 0) for path in images.files]
    for place_in, (file, one) in enumerate(_decoded(files, (), images.form)):
        if isinstance(one, str):
            raise HarnessError(f"{file.path} cannot be read any more ({one}): fix it and run the study again")
        first = images.first[place_in]
        pixels[first : first + one[0].shape[0] * one[0].shape[1]] = one[0].reshape(-1, channels)
    return pixels
