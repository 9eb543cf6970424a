"""What every method asks of its input, checked before any work is done."""

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from harness.classical.options import SMALLEST

Options = TypeVar("Options")

_P = ParamSpec("_P")

_MOST = 1e6  # of a value or a level, far beyond 0…255: squares and their sums stay within float32
_LEAST = 1e-6  # a level far below what float32 rounds; of a smaller one squares would become 0
_OF_UNIT_SCALE = 4  # what an image on 0…1 does not exceed, its noise included

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) after each step of a method."""


def in_float32(method: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """Return a method that computes in float32 under autocast too, which makes products in half precision."""

    @wraps(method)
    def alone(*args: _P.args, **options: _P.kwargs) -> Tensor:
        image = args[0] if args else options.get("image")
        kind = image.device.type if isinstance(image, Tensor) else "cpu"
        if not torch.amp.is_autocast_available(kind):
            return method(*args, **options)
        with torch.autocast(kind, enabled=False):
            return method(*args, **options)

    return alone


def checked_image(image: object, method: str) -> Tensor:
    """Return an image as float32, in which all is computed: (C, H, W) with one or three channels, values on 0…255.

    Raises:
        TypeError: `image` is not a tensor.
        ValueError: its shape, dtype or size is wrong, or it holds NaN, infinity or what is far beyond 0…255.
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"{method}: the image is a {type(image).__name__}; give a torch.Tensor, (3, H, W) or (1, H, W)")
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[0] not in {1, 3}:
        raise ValueError(f"{method}: the image has shape {shape}; give one image, (3, H, W) or (1, H, W)")
    if not image.dtype.is_floating_point:
        raise ValueError(f"{method}: the image has dtype {image.dtype}; give floating point on 0…255 (image.float())")
    if image.layout != torch.strided or image.is_meta:
        raise ValueError(f"{method}: the image is {'a meta' if image.is_meta else 'no dense'} tensor; give its pixels")
    if min(shape[1:]) < SMALLEST:
        raise ValueError(f"{method}: the image is {shape[1]}×{shape[2]}; the smallest is {SMALLEST}×{SMALLEST}")
    checked = image.detach().to(torch.float32).contiguous()  # first: eight-bit floats know no isfinite
    if not bool(torch.isfinite(checked).all()):
        raise ValueError(f"{method}: the image holds NaN or infinity")
    if (most := float(checked.abs().max())) > _MOST:
        raise ValueError(f"{method}: the image has values up to {most:g}; give it on the scale 0…255")
    return checked


def checked_sigma(sigma: object, image: Tensor, method: str) -> float:
    """Return the standard deviation of the noise, on the scale of a checked image.

    Raises ValueError unless it is above 0 and at most a million, or if the image lies on 0…1 and sigma cannot. An
    image of whole numbers is a dark one on 0…255.
    """
    if isinstance(sigma, bool) or not isinstance(sigma, Real) or sigma <= 0 or not sigma <= _MOST:
        raise ValueError(f"{method}: sigma is {sigma!r}; give a number above 0, on the image's scale of 0…255")
    level, low, high = max(float(sigma), _LEAST), float(image.min()), float(image.max())
    unit = max(-low, high) <= _OF_UNIT_SCALE and not bool((image == image.round()).all())
    if unit and 0 < float(image.std()) < level / 4:
        raise ValueError(
            f"{method}: the image lies within {low:.2f}…{high:.2f}, too narrow for noise of sigma {level:g}: give "
            "both on the scale 0…255 (image * 255)"
        )
    return level


def checked_options(options: object, kind: type[Options], method: str) -> Options:
    """Return a method's options, those by default for None. Raises TypeError unless they are of its kind."""
    if options is None:
        return kind()
    if not isinstance(options, kind):
        raise TypeError(f"{method}: options is a {type(options).__name__}; give {kind.__name__}(...)")
    return options


def checked_tile(tile: object, method: str) -> int:
    """Return the side of a tile in pixels. Raises ValueError unless it is an integer above 0."""
    if isinstance(tile, bool) or not isinstance(tile, Integral) or tile < 1:
        raise ValueError(f"{method}: tile is {tile!r}; give a side in pixels, an integer above 0")
    return int(tile)


def checked_seed(seed: object, method: str) -> int:
    """Return a seed. Raises ValueError unless it is an integer that torch's generators take."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not -(2**63) <= int(seed) < 2**64:
        raise ValueError(f"{method}: seed is {seed!r}; give an integer of 64 bits")
    return int(seed)


class StepCounter:
    """Reports steps to a caller's progress function, if there is one."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
