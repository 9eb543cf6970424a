"""Images in class folders: FOLDER/{train,test}/CLASS/NAME.png, as many people keep them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.base.errors import HarnessError
from harness.data.dataset import Arrays

SPLITS = ("train", "test")
_SUFFIXES = frozenset({".png", ".bmp", ".ppm", ".webp", ".tif", ".tiff", ".jpg", ".jpeg"})


def find_class_folders(source: Path, classes: Sequence[str]) -> Path | None:
    """Return the first folder at or below `source` that has `train` and `test` with a folder for every class."""
    below = sorted(path.parent for path in source.rglob("train") if path.is_dir() and "__MACOSX" not in path.parts)
    candidates = [source, *below]
    for folder in candidates:
        if all((folder / split / name).is_dir() for split in SPLITS for name in classes):
            return folder
    return None


def read_class_folders(folder: Path, classes: Sequence[str], shape: tuple[int, int, int]) -> dict[str, Arrays]:
    """Return the splits `train` and `test`: images uint8 (N, *shape), labels int64 (N,), which count `classes` from 0.

    Raises HarnessError if an image cannot be read or has another size.
    """
    return {split: _read_split(folder / split, classes, shape) for split in SPLITS}


def _read_split(folder: Path, classes: Sequence[str], shape: tuple[int, int, int]) -> Arrays:
    found = [(path, label) for label, name in enumerate(classes) for path in _images(folder / name)]
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        images = list(pool.map(lambda item: _read(item[0], shape), found))
    labels = np.array([label for _, label in found], dtype=np.int64)
    return Arrays(np.stack(images) if images else np.empty((0, *shape), np.uint8), labels)


def _images(folder: Path) -> Iterator[Path]:
    seen = (path for path in folder.iterdir() if not path.name.startswith("."))  # "._NAME" lies in archives from macOS
    yield from sorted(path for path in seen if path.suffix.lower() in _SUFFIXES)


def _read(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    channels, height, width = shape
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise HarnessError(f"{path} cannot be read as an image: {error}") from error
    if pixels.shape[:2] != (height, width):
        raise HarnessError(f"{path} is {pixels.shape[1]}×{pixels.shape[0]}, expected {width}×{height}")
    return np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1))
