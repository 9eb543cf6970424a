"""Photographs of any size, without labels: what denoisers are trained and tested on.

    dataset: {kind: photographs, path: COCO, take: 15000, size: 224}     # in a study; all images below the folder
    evaluate: [kodak24, {dataset: {kind: photographs, path: mine}}]      # to test on, all of them are the test split

The sets that have names are declared in `harness.trial.datasets`, with their fingerprints; `harness.data.locations`
lists their folders below the data root; `sample-photos` come with scikit-learn and matplotlib. An image is identified
by its pixels, or by the bytes of its file if its format is lossy.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.dataset import check, load_dataset
from harness.data.fingerprint import file_hash, fingerprint, image_hash
from harness.data.locations import PHOTOGRAPHS, data_root, is_present, require
from harness.data.overlap import find_overlaps
from harness.data.own.cache import keep_facts, kept_facts
from harness.data.own.declare import left_out
from harness.data.own.folder import check_corrupt, in_words, read_image
from harness.data.own.images import Size, fitted, prepare
from harness.data.own.listing import ImageFile, list_images, state_of
from harness.data.own.memory import check_fits
from harness.plugins.digests import code_digest
from harness.trial.datasets import DATASETS, validation_size

NO_LABEL = 0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photographs:
    """Images uint8 (C, H, W) in canonical order, that of their hashes."""

    images: tuple[NDArray[np.uint8], ...]
    hashes: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, part: slice) -> "Photographs":
        return Photographs(self.images[part], self.hashes[part])

    @classmethod
    def of(cls, found: Iterable[tuple[NDArray[np.uint8], bytes]]) -> "Photographs":
        """Return images with their hashes in canonical order."""
        ordered = sorted(found, key=lambda pair: pair[1])
        return cls(tuple(image for image, _ in ordered), tuple(digest for _, digest in ordered))


def load_images(declaration: DatasetDeclaration, root: Path) -> Mapping[str, Sequence[NDArray[np.uint8]]]:
    """Return the images of each split, uint8 (C, H, W), in canonical order, with `rest` as `load_dataset` has it.

    Labels are left out. Raises HarnessError if the files are missing, or are not the data that were declared.
    """
    if declaration.has_labels:
        return {split: tuple(arrays.images) for split, arrays in load_dataset(declaration, root).items()}
    if declaration.part_of is not None:
        return {"test": _part(declaration, DATASETS[declaration.part_of], root)}
    splits = _named(declaration, root) if declaration.source is None else _own(declaration.source)
    measured = {split: _measured(declaration.name, split, found) for split, found in splits.items()}
    place = root if declaration.source is None else declaration.source["path"]
    check(declaration, measured, place)
    kept_out = validation_size(len(splits["train"])) if "train" in splits else 0
    rest = {"rest": splits["train"][kept_out:]} if "train" in splits else {}
    return {split: found.images for split, found in {**splits, **rest}.items()}


def _part(declaration: DatasetDeclaration, whole: DatasetDeclaration, root: Path) -> Sequence[NDArray[np.uint8]]:
    """Return the first images of a named set in its canonical order, resized if that is declared."""
    images = load_images(whole, root)["test"][: declaration.splits["test"].images]
    size = declaration.input_shape[1:]
    return images if size == whole.input_shape[1:] else tuple(fitted(image, size) for image in images)


def _measured(name: str, split: str, found: Photographs) -> DatasetSplit:
    size = sum(image.nbytes for image in found.images)
    return DatasetSplit(name, split, fingerprint(list(found.hashes)), len(found), size)


def _with_validation(splits: Mapping[str, Photographs]) -> dict[str, Photographs]:
    """Return the splits, with the first of the training images as the validation split."""
    train = splits.get("train")
    kept_out = 0 if train is None else validation_size(len(train))
    return {**splits, **({"validation": train[:kept_out]} if train is not None and kept_out else {})}


# Sets with names


Finder = Callable[[Path], list[Path]]
"""From the data root to the files of a split."""


def _below(folder: str) -> Finder:
    return lambda root: [file.path for file in list_images(root / folder)]


def _not_in_cbsd68(root: Path) -> list[Path]:
    """Return the images of BSDS500 that are none of CBSD68's 68, known by their names."""
    tested = {path.stem for path in _below("CBSD68")(root)}
    return [path for path in _below("BSDS500")(root) if path.stem not in tested]


def _of_packages(*paths: str) -> Finder:
    """Return where files lie that other packages bring, without importing these."""

    def found(_root: Path) -> list[Path]:
        folders = (find_spec(path.partition("/")[0]) for path in paths)
        below = ((spec.submodule_search_locations if spec else None) or [""] for spec in folders)
        return [Path(folder, path.partition("/")[2]) for (folder, *_), path in zip(below, paths, strict=True)]

    return found


_PHOTOS: Mapping[str, Finder] = {
    "train": _of_packages("sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"),
    "test": _of_packages("matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
}
_TRAINED_ON: Mapping[str, Finder] = {"bsd432": _not_in_cbsd68, "bsd432-grey": _not_in_cbsd68}
_GREY = {"bsd68", "bsd432-grey"}


def _finders(name: str) -> Mapping[str, Finder]:
    """Return how the files of each split of a named set are found."""
    if name == "sample-photos":
        return _PHOTOS
    return {"train": _TRAINED_ON[name]} if name in _TRAINED_ON else {"test": _below(PHOTOGRAPHS[name][0])}


def _named(declaration: DatasetDeclaration, root: Path) -> dict[str, Photographs]:
    require(declaration, root)
    splits = {}
    for split, find in _finders(declaration.name).items():
        files = _image_files(find(root))
        splits[split], corrupt = _read_all(files, None, grey=declaration.name in _GREY)
        if corrupt:
            raise HarnessError(in_words(corrupt, len(files)))
    return _with_validation(splits)


def _image_files(paths: Iterable[Path]) -> list[ImageFile]:
    return [ImageFile(path, NO_LABEL, (facts := path.stat()).st_size, facts.st_mtime_ns) for path in paths]


# A person's own


def declare(name: str, source: Mapping[str, Any]) -> DatasetDeclaration:
    """Return the declaration of a folder of photographs: its contents are read if they are not known for its state.

    `source`: path, and where given size, grey, take, choose_seed, test (the part that is the test split), `test_only`
    and corrupt. Raises FieldError, by the option that it is about, if nobody could use it.
    """
    facts = facts_of(source, data_root())
    for line in left_out(facts):
        _log.warning("%s: %s", name, line)
    return DatasetDeclaration(
        name=name,
        description=f"own photographs, {source['path']}",
        input_shape=tuple(facts["input_shape"]),
        classes=0,
        splits={split: DatasetSplit(name, split, **one) for split, one in facts["splits"].items()},
        code=f"{__name__}:load_images",
        source=source,
    )


def facts_of(source: Mapping[str, Any], root: Path, *, reread: bool = False) -> Mapping[str, Any]:
    """Return facts about a folder's contents as plain data, from the cache unless its files changed or `reread`."""
    files = _chosen(source)
    state = state_of(files)
    kept = None if reread else kept_facts(source, root, state)
    if kept is not None:
        return kept  # type: ignore[no-any-return]  # JSON, as it was kept
    splits, corrupt = _split(source, files)
    shapes = {image.shape for found in splits.values() for image in found.images}
    channels = 1 if source.get("grey") else 3
    facts = {
        "input_shape": list(next(iter(shapes))) if len(shapes) == 1 else [channels, 0, 0],
        "splits": {
            split: {"fingerprint": one.fingerprint, "images": one.images, "bytes": one.bytes}
            for split, found in splits.items()
            for one in [_measured("", split, found)]
        },
        "corrupt": list(corrupt),
        "notes": [],
    }
    keep_facts(source, root, state, facts)
    return facts


def _own(source: Mapping[str, Any]) -> dict[str, Photographs]:
    return _split(source, _chosen(source))[0]


def _chosen(source: Mapping[str, Any]) -> Sequence[ImageFile]:
    """Return the files that are taken: all below the folder, or a fixed random choice by their paths within it."""
    folder = Path(source["path"])
    files = list_images(folder)
    if not files:
        raise FieldError(("path",), f"there are no images in {folder}")
    take = source.get("take")
    if take is None:
        return files
    if take > len(files):
        raise FieldError(("take",), f"{folder} has {len(files)} images, not {take}")
    seed = source.get("choose_seed", 0)

    def drawn(file: ImageFile) -> bytes:
        return hashlib.sha256(f"{seed}/{file.path.relative_to(folder).as_posix()}".encode()).digest()

    return sorted(files, key=drawn)[:take]


def _split(source: Mapping[str, Any], files: Sequence[ImageFile]) -> tuple[dict[str, Photographs], tuple[str, ...]]:
    size: Size | None = tuple(source["size"]) if "size" in source else None
    found, corrupt = _read_all(files, size, grey=bool(source.get("grey")))
    check_corrupt(source, corrupt, len(files))
    if not found.images:
        raise FieldError(("path",), f"none of the {len(files)} images can be read, the first {corrupt[0]}")
    if source.get("test_only"):
        return {"test": found}, corrupt
    part = source.get("test")
    tested = 0 if part is None else int(len(found) * Fraction(str(part)))
    if part is not None and not tested:
        raise FieldError(("test",), f"test: {part} takes none of the {len(found)} images")
    splits = {"train": found[tested:], **({"test": found[:tested]} if tested else {})}
    return _with_validation(splits), corrupt


# Copies of test images among the training images

_SEARCHED_BY = ("harness.data.overlap", "harness.data.keypoints")
_DISJOINT = {("bsd432", "cbsd68"), ("bsd432", "kodak24"), ("bsd432-grey", "bsd68")}
"""Named sets to train on and to test on that were searched (`tests/data/test_disjoint.py`)."""


def shared(train: DatasetDeclaration, tested: DatasetDeclaration, root: Path) -> str | None:
    """Return in words what a set to test on shares with the images that are trained on, None if nothing is found.

    Found by content (`harness.data.overlap`), once for each pair of sets: what was found is kept below the data root.
    A named set's own test split is official, and not searched; nor are sets that are not here.
    """
    official = train.source is None and train.name == tested.name
    if official or (train.name, tested.files_of) in _DISJOINT or not (_is_here(train, root) and _is_here(tested, root)):
        return None
    pair = train.splits["train"].fingerprint, tested.splits["test"].fingerprint
    kept = {"overlap": list(pair), "by": code_digest(_SEARCHED_BY)}
    pairs = kept_facts(kept, root, "") or _search(train, tested, root, kept)
    if not pairs["found"]:
        return None
    number, (train_index, test_index, kind) = len({test for _, test, _ in pairs["found"]}), pairs["found"][0]
    first = f"the first: test image {test_index} and training image {train_index} in canonical order, {kind}"
    of = tested.splits["test"].images
    return (
        f"{number} of the {of} test images of '{tested.name}' are among the training images of '{train.name}' "
        f"({first}): leave them out of one of both sets"
    )


def _is_here(declared: DatasetDeclaration, root: Path) -> bool:
    if declared.source is None:
        return is_present(declared.files_of, root)
    path = declared.source.get("path")
    return path is None or Path(path).exists()  # without a path it is a function that gives them


def _search(
    train: DatasetDeclaration, tested: DatasetDeclaration, root: Path, kept: Mapping[str, Any]
) -> Mapping[str, Any]:
    _log.warning("looking for images of '%s' among the training images of '%s'", tested.name, train.name)
    of_both = load_images(train, root)["train"], load_images(tested, root)["test"]
    found = {"found": [[one.train_index, one.test_index, one.kind] for one in find_overlaps(*of_both)]}
    keep_facts(kept, root, "", found)
    return found


# Reading


def _read_all(files: Sequence[ImageFile], size: Size | None, *, grey: bool) -> tuple[Photographs, tuple[str, ...]]:
    """Decode files side by side. Returned with the images: those that cannot be read, each with the reason."""
    prepare()
    channels = 1 if grey else 3
    if size is not None:
        check_fits(channels * size[0] * size[1] * len(files), f"{len(files)} images", "take fewer, e.g. take: 1000")
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        found = list(pool.map(partial(_read, size=size, grey=grey), files))
    corrupt = tuple(f"{file.path} ({why})" for file, why in zip(files, found, strict=True) if isinstance(why, str))
    return Photographs.of(one for one in found if not isinstance(one, str)), corrupt


def _read(file: ImageFile, *, size: Size | None, grey: bool) -> tuple[NDArray[np.uint8], bytes] | str:
    """Return an image with its hash, or why it cannot be read."""
    read = read_image(file, size, grey=grey)
    if isinstance(read, str):
        return read
    pixels, lossless, data = read
    digest = image_hash(pixels, NO_LABEL) if lossless else file_hash(pixels.shape, NO_LABEL, data)
    return pixels, digest
