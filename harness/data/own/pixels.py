"""Arrays that a person made, as images and labels of ours: what cannot be told for certain is refused."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.base.errors import HarnessError
from harness.data.dataset import Arrays

LAYOUTS = ("nchw", "nhwc")
_COLOURS = (1, 3)


def as_arrays(images: Any, labels: Any, of: str, layout: str | None = None) -> Arrays:
    """Return images uint8 (N, C, H, W) and labels int64 (N,) from a person's arrays.

    Args:
        images: uint8 (N, H, W), (N, H, W, C) or (N, C, H, W). labels: whole numbers from 0, (N,) or (N, 1).
        of: what they are called in an error. layout: which of the latter two forms it is, if that cannot be told.

    Raises:
        HarnessError: another type or shape, or several readings of one.
    """
    found = Arrays(_images(np.asarray(images), of, layout), _labels(np.asarray(labels), of))
    if len(found.images) != len(found.labels):
        raise HarnessError(f"the {of} split has {len(found.images)} images and {len(found.labels)} labels")
    return found


def _images(images: NDArray[Any], of: str, layout: str | None) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise HarnessError(f"the {of} images are {images.dtype}: save them as uint8, from 0 to 255")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise HarnessError(f"the {of} images have the shape {shape_of(images)}: N,H,W or N,H,W,C or N,C,H,W is wanted")
    if (layout or _layout(images, of)) == "nhwc":
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # (N, C, H, W)
    return images


def _layout(images: NDArray[Any], of: str) -> str:
    """Return where the channels are: one (grey) or three (colour)."""
    fits = [name for name, axis in (("nchw", 1), ("nhwc", 3)) if images.shape[axis] in _COLOURS]
    if len(fits) != 1:
        why = "neither has" if not fits else "both have"
        raise HarnessError(
            f"the {of} images have the shape {shape_of(images)}, of which N,C,H,W and N,H,W,C {why} 1 or 3 channels: "
            f"say which it is, layout: {LAYOUTS[0]} or layout: {LAYOUTS[1]}"
        )
    return fits[0]


def _labels(labels: NDArray[Any], of: str) -> NDArray[np.int64]:
    if not np.issubdtype(labels.dtype, np.integer):
        raise HarnessError(f"the {of} labels are {labels.dtype}: whole numbers from 0 are wanted")
    if labels.ndim == 0 or math.prod(labels.shape[1:]) != 1:
        raise HarnessError(f"the {of} labels have the shape {shape_of(labels)}: one number an image is wanted")
    flat = labels.reshape(len(labels)).astype(np.int64)
    if len(flat) and flat.min() < 0:
        raise HarnessError(f"the {of} labels begin at {flat.min()}: whole numbers from 0 are wanted")
    return flat


def shape_of(array: NDArray[Any]) -> str:
    """Return a shape in words."""
    return "×".join(str(n) for n in array.shape) or "of a single number"


def class_names(given: Any, *splits: Arrays) -> tuple[str, ...]:
    """Return the names of the classes by label: those given, or the labels themselves.

    Names that are bytes are UTF-8. Raises HarnessError if they are not, or not as many as the labels need.
    """
    highest = max((int(split.labels.max()) for split in splits if len(split)), default=-1)
    if given is None:
        count = highest + 1
        if count > sum(len(split) for split in splits):
            raise HarnessError(f"the labels go up to {highest}, with more classes than images: number them from 0")
        return tuple(str(label) for label in range(count))
    names = tuple(_text(name) for name in np.asarray(given).ravel().tolist())
    if highest >= len(names):
        raise HarnessError(f"there are {len(names)} names of classes, but labels up to {highest}")
    if len(set(names)) != len(names):
        raise HarnessError("two classes have the same name")
    return names


def _text(name: Any) -> str:
    try:
        return name.decode() if isinstance(name, bytes) else str(name)
    except UnicodeDecodeError as error:
        raise HarnessError(f"the name {name!r} of a class is not UTF-8") from error
