"""A folder of images, one folder per class: decoded side by side, a corrupt one named and counted."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.dataset import Arrays, Hashed
from harness.data.fingerprint import file_hash, image_hash
from harness.data.own.cache import keep_images, kept_images
from harness.data.own.contents import Contents, Unread, take_test
from harness.data.own.copies import leave_out, state_of_others
from harness.data.own.images import LARGEST_FILE, UNREADABLE, Size, decode, prepare, size_of
from harness.data.own.listing import ImageFile, Listing, Nested, list_folder
from harness.data.own.memory import PART, check_fits, in_units, memory_bytes

Shape = tuple[int, int, int]


def load(source: Mapping[str, Any], root: Path) -> Mapping[str, Hashed]:
    """Return the splits `train` and `test` of a source: those that were decoded before, if no file has changed."""
    found = look(source)
    state = str(found.state)
    splits = kept_images(source, root, state)
    if splits is None:
        splits = dict(found.read().splits)
        keep_images(source, root, state, splits)
    return splits


def look(source: Mapping[str, Any]) -> Unread:
    """List the images of a folder. Raises FieldError if they are not classes with a training and a test split."""
    listing = list_folder(Path(source["path"]), "test" in source, nested_of(source))
    return Unread(listing.state() + state_of_others(source), partial(_read, source, listing), cacheable=True)


def _read(source: Mapping[str, Any], listing: Listing) -> Contents:
    """Decode a folder. Raises FieldError by the option that would help: `size`, `corrupt`, `test`."""
    listing = leave_out(listing, source)
    files = [(split, file) for split, of_split in listing.splits.items() for file in of_split]
    channels = 1 if source.get("grey") else 3
    size: Size = tuple(source["size"]) if "size" in source else one_size([file for _, file in files])
    shape = (channels, *size)
    _check_memory(len(files), shape)
    images, hashes = decode_files([file for _, file in files], shape, resize="size" in source)
    corrupt = tuple(f"{file.path} ({h})" for (_, file), h in zip(files, hashes, strict=True) if isinstance(h, str))
    check_corrupt(source, corrupt, len(files))
    splits = {split: _of_split(split, files, images, hashes) for split in listing.splits}
    if "test" in source:
        splits = take_test(splits["train"], source["test"], listing.classes)
    return Contents({split: part.in_order() for split, part in splits.items()}, listing.classes, corrupt, listing.notes)


def nested_of(source: Mapping[str, Any]) -> Nested:
    """Return what is done with images in folders inside class folders: by default as with what cannot be read."""
    skips = source.get("corrupt", "refuse") != "refuse"
    nested: Nested = source.get("nested", "skip" if skips else "refuse")
    return nested


def check_corrupt(source: Mapping[str, Any], corrupt: Sequence[str], of: int) -> None:
    """Raise FieldError for images that cannot be read: for any, or for more than the share that `corrupt` allows."""
    allowed = source.get("corrupt", "refuse")
    if allowed == "refuse" and corrupt:
        raise FieldError(("path",), in_words(corrupt, of))
    if isinstance(allowed, float) and len(corrupt) > allowed * of:
        raise FieldError(("path",), f"{in_words(corrupt, of)} (a larger share than {allowed}, which 'corrupt' allows)")


def in_words(corrupt: Sequence[str], of: int) -> str:
    """Return what is said of images that cannot be read."""
    count = "1 image" if len(corrupt) == 1 else f"{len(corrupt)} images"
    return f"{count} of {of} cannot be read, the first {corrupt[0]}: fix or remove them, or say 'corrupt: skip'"


def _of_split(
    split: str, files: Sequence[tuple[str, ImageFile]], images: NDArray[np.uint8], hashes: Sequence[bytes | str]
) -> Hashed:
    """Return the images of a split that could be read."""
    places = [i for i, (of, _) in enumerate(files) if of == split and isinstance(hashes[i], bytes)]
    labels = np.array([files[i][1].label for i in places], dtype=np.int64)
    return Hashed(Arrays(images[places], labels), [h for i in places if isinstance(h := hashes[i], bytes)])


def decode_files(
    files: Sequence[ImageFile], shape: Shape, *, resize: bool
) -> tuple[NDArray[np.uint8], list[bytes | str]]:
    """Decode files side by side: images uint8 (N, *shape), and of each the hash, or why it cannot be read."""
    images = np.zeros((len(files), *shape), np.uint8)
    prepare()

    def one(place: int) -> bytes | str:
        file = files[place]
        read = read_image(file, shape[1:] if resize else None, grey=shape[0] == 1)
        if isinstance(read, str):
            return read
        pixels, lossless, data = read
        if pixels.shape != shape:
            return f"it is {pixels.shape[2]}×{pixels.shape[1]} and not {shape[2]}×{shape[1]} as its header says"
        images[place] = pixels
        return image_hash(pixels, file.label) if lossless else file_hash(shape, file.label, data)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside Python's lock
        return images, list(pool.map(one, range(len(files))))


def read_image(file: ImageFile, size: Size | None, *, grey: bool) -> tuple[NDArray[np.uint8], bool, bytes] | str:
    """Return an image's pixels, uint8 (C, H, W), whether its format keeps them exactly, and the bytes of its file.

    Or, if it cannot be read, the reason.
    """
    if problem := problem_of(file):
        return problem
    try:
        data = file.path.read_bytes()
        return (*decode(data, size, grey), data)
    except UNREADABLE as error:
        return reason_of(error)


def problem_of(file: ImageFile) -> str | None:
    """Return why a file is not to be opened: reading a pipe does not end, and a file may be larger than the memory."""
    if file.problem is None and file.size > LARGEST_FILE:
        return f"it has {in_units(file.size)}, more than any image that can be read"
    return file.problem


def reason_of(error: Exception) -> str:
    """Return in a line what Pillow or the system said of a file that cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split())
    return "no image that Pillow knows" if words.startswith("cannot identify") else words or type(error).__name__


def sizes(files: Sequence[ImageFile]) -> dict[Size, Path]:
    """Return the sizes that there are, each with the first file of it, by the headers of those that can be read."""
    prepare()

    def one(file: ImageFile) -> Size | None:
        if problem_of(file):
            return None
        try:
            with file.path.open("rb") as opened:
                return size_of(opened)
        except UNREADABLE:
            return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, files))
    first: dict[Size, Path] = {}
    for size, file in zip(found, files, strict=True):
        if size is not None:
            first.setdefault(size, file.path)
    return first


def one_size(files: Sequence[ImageFile]) -> Size:
    """Return the size of all images. Raises FieldError if they have several, or if none can be read."""
    found = sizes(files)
    if not found:
        reason = f" ({problem})" if (problem := problem_of(files[0])) else ""
        raise FieldError(("path",), f"none of the {len(files)} images can be read, e.g. {files[0].path}{reason}")
    if len(found) > 1:
        (small, first), (large, second) = (
            f(found.items(), key=lambda item: item[0][0] * item[0][1]) for f in (min, max)
        )
        raise FieldError(
            (),
            f"the images have {len(found)} sizes, from {small[0]}×{small[1]} ({first}) to {large[0]}×{large[1]} "
            f"({second}), height×width: say which they are to be brought to, e.g. size: [{small[0]}, {small[1]}]",
        )
    return next(iter(found))


def _check_memory(count: int, shape: Shape) -> None:
    channels, height, width = shape
    fits = int((memory_bytes() / PART / count / channels) ** 0.5) if memory_bytes() != float("inf") else 0
    try:
        check_fits(
            count * channels * height * width,
            f"{count} images of {width}×{height}",
            f"take a smaller size, e.g. size: {max(1, fits // 8 * 8)}",
        )
    except HarnessError as error:
        raise FieldError(("size",), str(error)) from None
