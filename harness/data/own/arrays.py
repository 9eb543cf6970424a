"""Arrays in a NumPy file (.npz), images and labels by the names that people give them.

Two splits: x_train, y_train, x_test, y_test, or train_images, train_labels, test_images, test_labels; if there is no
`test`, `val`, `valid` or `validation` is it. One set, of which `test: PART` becomes the test split: images and labels,
or x and y.
Large and small letters are the same. `classes` or `class_names` names the classes by label.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.lib.format as npy

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.dataset import Arrays, Hashed
from harness.data.own.contents import Contents, Unread, take_test
from harness.data.own.memory import check_fits, in_units
from harness.data.own.pixels import as_arrays, class_names

_DAMAGED = (OSError, EOFError, ValueError, KeyError, OverflowError, RuntimeError, zlib.error, zipfile.BadZipFile)
_VALIDATION = ("val", "valid", "validation")
_NAMES = ("classes", "class_names")
_WHOLE = (("images", "labels"), ("x", "y"))
_WANTED = "x_train, y_train, x_test, y_test, or images and labels with e.g. test: 0.2"

Keys = tuple[str, str]  # of images and of labels


def load(source: Mapping[str, Any], _root: Path) -> Mapping[str, Hashed]:
    """Return the splits `train` and `test` of a source."""
    return look(source).read().splits


def look(source: Mapping[str, Any]) -> Unread:
    """Find a file. Raises FieldError if it is not there, or a folder."""
    path = Path(source["path"])
    if not path.is_file():
        what = "a folder: a folder of images is 'kind: folder'" if path.is_dir() else "not there"
        raise FieldError(("path",), f"{path} is {what}")
    stat = path.stat()
    return Unread(f"{stat.st_size} {stat.st_mtime_ns}", partial(_read, source, path), cacheable=False)


def _read(source: Mapping[str, Any], path: Path) -> Contents:
    try:
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:  # not loaded: it may claim any size
                raise FieldError(("path",), f"{path} holds a single array: save images and labels by np.savez")
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not an archive of arrays")
        claims = _claims(path)
        with np.load(path, allow_pickle=False) as arrays:
            return _contents(source, path, arrays, claims)
    except (FieldError, MemoryError):
        raise
    except HarnessError as error:
        raise FieldError(("path",), f"{path}: {error}") from None
    except _DAMAGED as error:
        reason = "objects, not numbers" if "allow_pickle" in str(error) else " ".join(str(error).split())
        raise FieldError(("path",), f"{path} cannot be read as arrays (.npz): {reason}") from None


@dataclass(frozen=True)
class _Claim:
    """How many bytes an array takes by its header, and how many the archive has of it."""

    claimed: int
    there: int


def _claims(path: Path) -> dict[str, _Claim]:
    """Return what each array of an archive claims, by its header alone: NumPy allocates that before it reads."""
    claims = {}
    with zipfile.ZipFile(path) as packed:
        for name, info in packed.NameToInfo.items():
            with packed.open(info) as member:
                if member.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                    member.seek(0)
                    size = _size(member)
                    claims[name.removesuffix(".npy")] = _Claim(size, info.file_size - member.tell())
    return claims


def _size(member: IO[bytes]) -> int:
    """Read an array's header, and return how many bytes follow. Raises ValueError if it cannot be read."""
    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0  # 3.0 differs in words only
    try:
        shape, _, dtype = read(member)
    except (tokenize.TokenError, RecursionError, MemoryError) as error:  # of quotes and brackets without end
        raise ValueError(f"a header cannot be parsed ({type(error).__name__})") from error
    return 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize  # objects are refused when they are read


def _check_claims(claims: Mapping[str, _Claim], keys: Iterable[str]) -> None:
    """Raise ValueError if an array is larger than the archive, HarnessError if all together are for this machine."""
    used = {key: claims[key] for key in keys if key in claims}
    for key, claim in used.items():
        if claim.claimed > claim.there:
            raise ValueError(f"'{key}' claims {in_units(claim.claimed)}, of which {in_units(claim.there)} are there")
    check_fits(sum(claim.claimed for claim in used.values()), "its arrays", "take fewer or smaller images")


def _contents(source: Mapping[str, Any], path: Path, file: Mapping[str, Any], claims: Mapping[str, _Claim]) -> Contents:
    by_name: dict[str, str] = {}
    for key in file:
        if by_name.setdefault(key.lower(), key) != key:
            raise FieldError(("path",), f"{path} has both '{by_name[key.lower()]}' and '{key}': rename one")
    keys, notes = _splits(path, by_name, source.get("test"))
    given = next((by_name[name] for name in _NAMES if name in by_name), None)
    used = {name for pair in keys.values() for name in pair} | ({given} if given else set())
    _check_claims(claims, sorted(used))
    splits = {
        split: as_arrays(file[images], file[labels], split, source.get("layout"))
        for split, (images, labels) in keys.items()
    }
    _check_shapes(splits)
    classes = class_names(None if given is None else file[given], *splits.values())
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
        raise FieldError(("path",), f"{path} has both '{test}' and '{others[0]}', and no 'test': rename one of them")
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
