"""Which images a folder holds: PATH/{train,val,test}/CLASS/IMAGE, or PATH/CLASS/IMAGE.

`validation` may stand for `val`. Where there is no test split, `val` is it. Names that begin with a dot are passed
over.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.own.images import SUFFIXES
from harness.spec.checks import FieldError
from harness.spec.errors import did_you_mean

_VALIDATION = ("val", "validation")


@dataclass(frozen=True)
class ImageFile:
    """A file of a class as it lies there."""

    path: Path
    label: int
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """The images of a folder by split. Without a split `test`, that is to be taken out of `train`."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[ImageFile, ...]]
    notes: tuple[str, ...]  # what was left out

    def state(self) -> str:
        """Return a hash that changes where a file is added, removed, renamed or written."""
        lines = [
            f"{split} {file.path} {file.size} {file.mtime_ns}"
            for split, files in sorted(self.splits.items())
            for file in files
        ]
        return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def list_folder(path: Path, take_test: bool) -> Listing:
    """List the images of a folder. `take_test` says whether a test split is to be taken out of the training images.

    Raises FieldError where it is no folder of classes, where classes differ between splits, and where there is no test
    split, or one too many.
    """
    if not path.is_dir():
        what = "no folder: arrays in a file are 'kind: arrays'" if path.is_file() else "not there"
        raise FieldError(("path",), f"{path} is {what}")
    folders, note = _splits(path, take_test)
    classes = _subfolders(folders["train"])
    for folder in folders.values():
        _check_classes(folder, _subfolders(folder), classes, folders["train"])
        if not classes:
            raise FieldError(("path",), f"there are no class folders in {folder}: a class is a folder of images")
    splits, others = {}, []
    for split, folder in folders.items():
        found = [_images(folder / name, label) for label, name in enumerate(classes)]
        splits[split] = tuple(file for files, _ in found for file in files)
        others += [other for _, left in found for other in left]
    if others:
        note = (*note, f"{len(others)} that are no images are passed over, e.g. {min(others)}")
    return Listing(classes, splits, note)


def _splits(path: Path, take_test: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the folders of the splits, and what is left out."""
    there = set(_subfolders(path))
    if not {"train"} <= there or not _subfolders(path / "train"):
        if not take_test:
            raise FieldError(
                (), f"{path} has no split 'train': say which part of each class is the test split, e.g. test: 0.2"
            )
        return {"train": path}, ()
    validation = [name for name in _VALIDATION if name in there]
    test = ["test"] if "test" in there else validation
    if len(test) > 1:
        raise FieldError(
            ("path",), f"{path} has both 'val' and 'validation', and no 'test': rename one of them to 'test'"
        )
    if test and take_test:
        raise FieldError(("test",), f"{path} has a split '{test[0]}', which is the test split: leave 'test' out")
    if not test and not take_test:
        raise FieldError(
            (), f"{path} has no split 'test' or 'val': say which part of 'train' is the test split, e.g. test: 0.2"
        )
    unused = tuple(
        f"the split '{name}' is left out, as there is a split 'test'" for name in validation if test == ["test"]
    )
    return {"train": path / "train", **({"test": path / test[0]} if test else {})}, unused


def _subfolders(folder: Path) -> tuple[str, ...]:
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()))


def _check_classes(folder: Path, found: tuple[str, ...], classes: tuple[str, ...], train: Path) -> None:
    for name in found:
        if name not in classes:
            raise FieldError(
                ("path",), f"the class '{name}' of {folder} is not in {train}{did_you_mean(name, classes)}"
            )
    for name in classes:
        if name not in found:
            raise FieldError(("path",), f"the class '{name}' of {train} is not in {folder}{did_you_mean(name, found)}")


def _images(folder: Path, label: int) -> tuple[list[ImageFile], list[str]]:
    """Return the images of a class in order of name, and the paths of what else lies there."""
    files, others = [], []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                stat = entry.stat()
                files.append(ImageFile(Path(entry.path), label, stat.st_size, stat.st_mtime_ns))
            else:
                others.append(entry.path)
    if not files:
        holds = f", but {len(others)} others, e.g. {min(others)}" if others else ""
        raise FieldError(("path",), f"the class folder {folder} has no images ({', '.join(SUFFIXES)}){holds}")
    return files, others
