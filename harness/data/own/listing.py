"""Which images a folder holds: PATH/SPLIT/CLASS/IMAGE, or PATH/CLASS/IMAGE.

A split's folder may be named in any of the usual ways (`train`, `Training`, `valid`, …). If there is no test split, the
validation split is it. What other programs leave behind is ignored by name. Everything else that is left out is named,
or refused: a class that is silently smaller than its folder gives other numbers without a word.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.data.own.images import SUFFIXES

Nested = Literal["refuse", "take", "skip"]
"""What is done with images in folders inside a class folder."""

_SPLIT_NAMES = {
    "train": frozenset({"train", "training"}),
    "test": frozenset({"test", "testing"}),
    "val": frozenset({"val", "valid", "validation"}),
}  # in small letters
_IGNORED = frozenset(
    {
        "__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "system volume information", "lost+found",
        "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r",
    }
)  # fmt: skip
_COUNTED = 10_000  # images of a folder that is left out are counted up to here: it may be very large


@dataclass(frozen=True)
class ImageFile:
    """A file of a class as it lies there. `problem`: why it cannot be read, if its entry in the folder tells."""

    path: Path
    label: int
    size: int
    mtime_ns: int
    problem: str | None = None


@dataclass(frozen=True)
class Listing:
    """The images of a folder by split. Without a split `test`, that is to be taken out of `train`."""

    classes: tuple[str, ...]
    splits: Mapping[str, tuple[ImageFile, ...]]
    notes: tuple[str, ...]  # what was left out

    def state(self) -> str:
        """Return a hash that changes if a file is added, removed, renamed or written, or if something is left out."""
        return _state(((split, file) for split, files in sorted(self.splits.items()) for file in files), self.notes)


def list_images(path: Path) -> tuple[ImageFile, ...]:
    """List all images in a folder and the folders below it, without classes, in order of their paths.

    Raises FieldError if it is not a folder, or cannot be read.
    """
    if not path.is_dir():
        raise FieldError(("path",), f"{path} is {'not a folder' if path.exists() else 'not there'}")
    try:
        return tuple(file for folder in (path, *_folders_below(path)) for file in _images(folder, 0, []))
    except OSError as error:
        raise FieldError(("path",), f"{error.filename or path} cannot be read: {error.strerror or error}") from None


def state_of(files: Iterable[ImageFile]) -> str:
    """Return a hash that changes if a file is added, removed, renamed or written."""
    return _state((("", file) for file in files), ())


def _state(files: Iterable[tuple[str, ImageFile]], notes: Iterable[str]) -> str:
    lines = [f"{split} {file.path} {file.size} {file.mtime_ns}" for split, file in files]
    return hashlib.sha256("\n".join([*lines, *notes]).encode(errors="surrogateescape")).hexdigest()


def has_training(path: Path) -> bool:
    """Return whether a folder has a training split by name."""
    return path.is_dir() and any(name.lower() in _SPLIT_NAMES["train"] for name in _subfolders(path))


def list_folder(path: Path, take_test: bool, nested: Nested = "refuse", *, test_only: bool = False) -> Listing:
    """List the images of a folder. `take_test`: whether a test split is to be taken out of the training images.

    `test_only`: it has none of these, and is to be tested on; a split's folder may be missing.

    Raises FieldError if it is not a folder of classes, if classes differ between splits, if there is no test split, or
    one too many, and if images would be left out that `nested` does not allow to leave out.
    """
    if not path.is_dir():
        what = "not a folder: arrays in a file are 'kind: arrays'" if path.is_file() else "not there"
        raise FieldError(("path",), f"{path} is {what}")
    try:
        return _list(path, take_test, nested, test_only)
    except OSError as error:
        raise FieldError(("path",), f"{error.filename or path} cannot be read: {error.strerror or error}") from None


def _list(path: Path, take_test: bool, nested: Nested, test_only: bool) -> Listing:
    folders, notes = _tested(path) if test_only else _splits(path, take_test)
    first = next(iter(folders.values()))
    classes = _subfolders(first)
    for folder in folders.values():
        _check_classes(folder, _subfolders(folder), classes, first)
        if not classes:
            raise FieldError(("path",), f"there are no class folders in {folder}: a class is a folder of images")
    for folder in dict.fromkeys([path, *folders.values()]):
        notes += _beside_classes(folder)
    found = {
        split: [_class_files(folder / name, label) for label, name in enumerate(classes)]
        for split, folder in folders.items()
    }
    everything = [one for of_split in found.values() for one in of_split]
    notes += _nested_notes([place for one in everything for place in one.nested.items()], nested)
    others = [other for one in everything for other in one.others]
    if others:
        notes += (f"{len(others)} that are not images are passed over, e.g. {min(others)}",)
    splits = {split: tuple(f for one in of_split for f in one.images(nested)) for split, of_split in found.items()}
    return Listing(classes, splits, notes)


@dataclass(frozen=True)
class _ClassFiles:
    """What lies in a class folder: its images, those in folders inside it by folder, and the paths of all else."""

    folder: Path
    files: tuple[ImageFile, ...]
    nested: Mapping[Path, tuple[ImageFile, ...]]
    others: tuple[str, ...]

    def images(self, nested: Nested) -> tuple[ImageFile, ...]:
        """Return the images that belong to the class. Raises FieldError if there are none."""
        inside = [file for files in self.nested.values() for file in files] if nested == "take" else []
        if not self.files and not inside:
            holds = f", but {len(self.others)} others, e.g. {min(self.others)}" if self.others else ""
            raise FieldError(("path",), f"the class folder {self.folder} has no images ({', '.join(SUFFIXES)}){holds}")
        return (*self.files, *inside)


def _class_files(folder: Path, label: int) -> _ClassFiles:
    nested: dict[Path, tuple[ImageFile, ...]] = {}
    others: list[str] = []
    files = _images(folder, label, others)
    for below in _folders_below(folder):
        inside = _images(below, label, others)
        if inside:
            nested[below] = inside
    return _ClassFiles(folder, files, nested, tuple(others))


def _images(folder: Path, label: int, others: list[str]) -> tuple[ImageFile, ...]:
    """Return the images that lie in a folder itself, in order of name; add all else but folders to `others`.

    What is named as an image is one, even if it cannot be read: a link to nothing, as DVC or git-annex leave it.
    """
    files = []
    for entry in _entries(folder):
        if entry.is_dir():
            continue
        if not _named_as_image(entry.name):
            others.append(entry.path)
            continue
        try:
            facts = entry.stat()
        except OSError:
            facts = entry.stat(follow_symlinks=False)
        files.append(ImageFile(Path(entry.path), label, facts.st_size, facts.st_mtime_ns, _problem(entry.path, facts)))
    return tuple(files)


def _problem(path: str, facts: os.stat_result) -> str | None:
    if stat.S_ISREG(facts.st_mode):
        return None
    if stat.S_ISLNK(facts.st_mode):
        return f"a link to {os.readlink(path)}, which is not there"  # noqa: PTH115 - Path drops a leading ./
    return "no regular file"


def _nested_notes(found: list[tuple[Path, tuple[ImageFile, ...]]], nested: Nested) -> tuple[str, ...]:
    """Return what is said of images in folders inside class folders. Raises FieldError if they are to be refused."""
    if not found or nested == "take":
        return ()
    first, images = min(found)
    count = _images_in_words(sum(len(files) for _, files in found))
    where = f"{first}, a folder inside a class folder"
    if len(found) > 1:
        where = f"{len(found)} folders inside class folders, the first {first} ({_images_in_words(len(images))})"
    if nested == "skip":
        return (f"left out: {count} in {where}",)
    raise FieldError(
        ("path",),
        f"{count} in {where}: move them into their class folder, or say 'nested: take' (as torchvision's ImageFolder "
        "does) or 'nested: skip'",
    )


def _splits(path: Path, take_test: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the folders of the splits, and what is left out."""
    there = _subfolders(path)
    named = {split: [name for name in there if name.lower() in names] for split, names in _SPLIT_NAMES.items()}
    named["train"] = [name for name in named["train"] if _subfolders(path / name)]  # a class may be called train
    if not named["train"]:
        if not take_test:
            raise FieldError(
                (), f"{path} has no split 'train': say which part of each class is the test split, e.g. test: 0.2"
            )
        return {"train": path}, ()
    train = _the_one(path, named["train"], "train")
    test = named["test"] or named["val"]
    if test and take_test:
        raise FieldError(("test",), f"{path} has a split '{test[0]}', which is the test split: leave 'test' out")
    used = {train, _the_one(path, test, "test")} if test else {train}
    notes = tuple(_left_out(path, [name for name in there if name not in used], named["val"]))
    if not test and not take_test:
        seen = f" ({'; '.join(notes)})" if notes else ""
        raise FieldError(
            (),
            f"{path} has no split 'test' or 'val'{seen}: say which part of '{train}' is the test split, "
            "e.g. test: 0.2, or rename a folder to 'test'",
        )
    return {"train": path / train, **({"test": path / test[0]} if test else {})}, notes


def _tested(path: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return the folder of the only split of what is tested on alone: `test`, else `val`, else the folder itself."""
    there = _subfolders(path)
    named = {split: [name for name in there if name.lower() in _SPLIT_NAMES[split]] for split in ("test", "val")}
    tested = named["test"] or named["val"]
    if not tested:
        return {"test": path}, ()
    used = _the_one(path, tested, "test")
    return {"test": path / used}, tuple(_left_out(path, [name for name in there if name != used], named["val"]))


def _the_one(path: Path, names: list[str], split: str) -> str:
    if len(names) > 1:
        both = " and ".join(f"'{name}'" for name in names)
        none = ", and no 'test'" if split == "test" and names[0].lower() not in _SPLIT_NAMES["test"] else ""
        raise FieldError(("path",), f"{path} has both {both}{none}: rename one of them")
    return names[0]


def _left_out(path: Path, names: Iterable[str], validation: Iterable[str]) -> Iterator[str]:
    """Yield what is said of folders beside those of the splits, if they hold images."""
    for name in names:
        if name in validation:
            yield f"the split '{name}' is left out, as there is a split 'test'"
        elif count := _count(path / name):
            yield f"the folder '{name}' with {count} is left out"


def _count(folder: Path) -> str:
    """Return in words how many images lie in a folder and those inside it; "" if there are none."""
    names = (e.name for place in (folder, *_folders_below(folder)) for e in _entries(place) if not e.is_dir())
    count = sum(1 for _ in islice(filter(_named_as_image, names), _COUNTED))
    words = _images_in_words(count) if count else ""
    return f"{words} or more" if count == _COUNTED else words


def _images_in_words(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _beside_classes(folder: Path) -> tuple[str, ...]:
    """Return what is said of images that lie beside class folders, and so belong to no class."""
    found = [entry.path for entry in _entries(folder) if not entry.is_dir() and _named_as_image(entry.name)]
    return (f"left out: {_images_in_words(len(found))} in no class folder, e.g. {found[0]}",) if found else ()


def _named_as_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what lies in a folder in order of name, without what other programs leave behind."""
    with os.scandir(folder) as entries:
        kept = [e for e in entries if not e.name.startswith(".") and e.name.lower() not in _IGNORED]
    return sorted(kept, key=lambda entry: entry.name)


def _subfolders(folder: Path) -> tuple[str, ...]:
    """Return the folders in a folder. Raises FieldError for a link to nothing, which may have been one."""
    entries = _entries(folder)
    for entry in entries:
        if entry.is_symlink() and not Path(entry.path).exists() and not _named_as_image(entry.name):
            target = os.readlink(entry.path)  # noqa: PTH115
            raise FieldError(("path",), f"{entry.path} is a link to {target}, which is not there: fix or remove it")
    return tuple(entry.name for entry in entries if entry.is_dir())


def _folders_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Yield all folders inside a folder in order; a link back to one that it lies in is not followed."""
    chain = above | {os.path.realpath(folder)}
    for entry in _entries(folder):
        if entry.is_dir() and os.path.realpath(entry.path) not in chain:
            yield Path(entry.path)
            yield from _folders_below(Path(entry.path), chain)


def _check_classes(folder: Path, found: tuple[str, ...], classes: tuple[str, ...], train: Path) -> None:
    for name in found:
        if name not in classes:
            raise FieldError(
                ("path",), f"the class '{name}' of {folder} is not in {train}{did_you_mean(name, classes)}"
            )
    for name in classes:
        if name not in found:
            raise FieldError(("path",), f"the class '{name}' of {train} is not in {folder}{did_you_mean(name, found)}")
