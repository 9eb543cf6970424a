"""Arrays in a NumPy file (.npz), images and labels by the names that people give them.

Two splits: x_train, y_train, x_test, y_test, or train_images, train_labels, test_images, test_labels; where there is
no `test`, `val` or `validation` is it. One set, of which `test: PART` becomes the test split: images and labels, or x
and y.
Large and small letters are the same. `classes` or `class_names` names the classes by label.
"""

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.dataset import Arrays, Hashed
from harness.data.own.contents import Contents, Found
from harness.data.own.memory import check_fits
from harness.data.own.pixels import as_arrays, class_names
from harness.data.own.split import take_test
from harness.spec.checks import FieldError
from harness.spec.errors import HarnessError

_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
_VALIDATION = ("val", "validation")
_NAMES = ("classes", "class_names")
_WHOLE = (("images", "labels"), ("x", "y"))
_WANTED = "x_train, y_train, x_test, y_test, or images and labels with e.g. test: 0.2"

Keys = tuple[str, str]  # of images and of labels


def load(source: Mapping[str, Any], _root: Path) -> Mapping[str, Hashed]:
    """Return the splits `train` and `test` of a source."""
    return look(source).read().splits


def look(source: Mapping[str, Any]) -> Found:
    """Find a file. Raises FieldError where it is not there, or a folder."""
    path = Path(source["path"])
    if not path.is_file():
        what = "a folder: a folder of images is 'kind: folder'" if path.is_dir() else "not there"
        raise FieldError(("path",), f"{path} is {what}")
    stat = path.stat()
    return Found(f"{stat.st_size} {stat.st_mtime_ns}", partial(_read, source, path), dear=False)


def _read(source: Mapping[str, Any], path: Path) -> Contents:
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise FieldError(("path",), f"{path} holds a single array: save images and labels by np.savez")
        with file:
            return _contents(source, path, file)
    except (FieldError, MemoryError):
        raise
    except HarnessError as error:
        raise FieldError(("path",), f"{path}: {error}") from None
    except _DAMAGED as error:
        reason = "objects, not numbers" if "allow_pickle" in str(error) else " ".join(str(error).split())
        raise FieldError(("path",), f"{path} cannot be read as arrays (.npz): {reason}") from None


def _contents(source: Mapping[str, Any], path: Path, file: Mapping[str, Any]) -> Contents:
    by_name: dict[str, str] = {}
    for key in file:
        if by_name.setdefault(key.lower(), key) != key:
            raise FieldError(("path",), f"{path} has both '{by_name[key.lower()]}' and '{key}': rename one")
    keys, notes = _splits(path, by_name, source.get("test"))
    _check_memory(path, [name for pair in keys.values() for name in pair])
    splits = {
        split: as_arrays(file[images], file[labels], split, source.get("layout"))
        for split, (images, labels) in keys.items()
    }
    _check_shapes(splits)
    given = next((by_name[name] for name in _NAMES if name in by_name), None)
    classes = class_names(None if given is None else file[given], *splits.values())
    used = {name for pair in keys.values() for name in pair} | {given}
    unused = sorted(key for key in by_name.values() if key not in used)
    if unused:
        notes = (*notes, f"other arrays are passed over: {', '.join(unused)}")
    hashed = {split: Hashed.of(arrays) for split, arrays in splits.items()}
    if "test" in source:
        hashed = take_test(hashed["train"], source["test"], classes)
    return Contents({split: one.in_order() for split, one in hashed.items()}, classes, notes=notes)


def _splits(path: Path, by_name: Mapping[str, str], part: float | None) -> tuple[dict[str, Keys], tuple[str, ...]]:
    """Return the arrays of each split, and what is left out. `part` of the only split is to be the test split."""
    train = _pair(path, by_name, _forms("train"))
    whole = _pair(path, by_name, _WHOLE)
    if train and whole:
        raise FieldError(("path",), f"{path} has both '{train[0]}' and '{whole[0]}': remove or rename one")
    if not train and not whole:
        there = f", but {', '.join(sorted(by_name.values()))}" if by_name else ""
        raise FieldError(("path",), f"{path} has no images by a known name ({_WANTED}){there}")
    named = {split: pair for split in ("test", *_VALIDATION) if (pair := _pair(path, by_name, _forms(split)))}
    if part is not None:
        if named:
            raise FieldError(
                ("test",), f"{path} has a split '{next(iter(named))}', which is the test split: leave 'test' out"
            )
        return {"train": train or whole or ("", "")}, ()
    if whole or not named:
        raise FieldError((), f"{path} has no test split: say which part of each class is it, e.g. test: 0.2")
    test, *others = named
    if test != "test" and others:
        raise FieldError(("path",), f"{path} has both 'val' and 'validation', and no 'test': rename one of them")
    notes = tuple(f"the split '{name}' is left out, as there is a split 'test'" for name in others)
    return {"train": train or ("", ""), "test": named[test]}, notes


def _forms(split: str) -> tuple[Keys, ...]:
    return (f"x_{split}", f"y_{split}"), (f"{split}_x", f"{split}_y"), (f"{split}_images", f"{split}_labels")


def _pair(path: Path, by_name: Mapping[str, str], forms: tuple[Keys, ...]) -> Keys | None:
    """Return the one form of which the file has images and labels, by the file's own names."""
    found = [form for form in forms if form[0] in by_name or form[1] in by_name]
    if len(found) > 1:
        names = ", ".join(sorted(by_name[name] for form in found for name in form if name in by_name))
        raise FieldError(("path",), f"{path} names one split in several ways: {names}")
    for name in (name for form in found for name in form):
        if name not in by_name:
            there = next(by_name[other] for other in found[0] if other in by_name)
            raise FieldError(("path",), f"{path} has '{there}', but not '{name}'")
    return (by_name[found[0][0]], by_name[found[0][1]]) if found else None


def _check_shapes(splits: Mapping[str, Arrays]) -> None:
    shapes = {split: "×".join(str(n) for n in arrays.images.shape[1:]) for split, arrays in splits.items()}
    if len(set(shapes.values())) > 1:
        raise HarnessError(f"the training images are {shapes['train']}, those to test on {shapes['test']}")


def _check_memory(path: Path, keys: list[str]) -> None:
    with zipfile.ZipFile(path) as packed:
        sizes = {info.filename: info.file_size for info in packed.infolist()}
    needed = sum(sizes.get(f"{key}.npy", 0) for key in keys)
    check_fits(needed, "its arrays", "take fewer or smaller images")
