"""One image file as pixels: decoded, turned as its EXIF says, brought to a size, in colour or grey.

The rule, in whole numbers: an image of w×h is to fill W×H. Where W·h ≥ H·w it is resized to W×⌊h·W/w⌋, else to
⌊w·H/h⌋×H, by Pillow's antialiased bilinear filter; then the middle is cut out, from row ⌊(h′−H)/2⌋ and column
⌊(w′−W)/2⌋. For a square that is: the shorter side to N, then the central N×N. An image that has the size already stays
as it is. Alpha is dropped, of several frames the first is taken.

Or it is kept whole (`decode_whole`): the shorter side to N by the same filter, the longer one to ⌊l·N/s⌋, of which the
middle 2·N stay. JPEG files are decoded at their full size first: the decoder's own reduction (Pillow's `draft`) is
faster for photographs of twice the size and more, but another filter.
"""

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Size = tuple[int, int]  # height, width

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_LOSSLESS = frozenset({"PNG", "BMP", "GIF", "PPM"})
_LOSSLESS_TIFF = frozenset({"raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd"})
_ORIENTATION, _TURNED = 0x0112, frozenset({5, 6, 7, 8})  # EXIF: height and width change places

UNREADABLE = (
    OSError,  # Pillow's own, for what it does not know and what is cut off
    SyntaxError,  # a broken PNG
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for a file that is damaged or no image."""


MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 2**26)
"""What Pillow refuses to decode by itself has more pixels than this, whatever the header claims."""

LARGEST_FILE = 8 * MOST_PIXELS
"""Bytes. A file of more is not an image of so many pixels, and is not read."""

_LARGE = 2**24  # pixels: a gigabyte while it is decoded, if there are a few of them at once
_one_at_a_time = threading.Lock()


def prepare() -> None:
    """Make Pillow know its formats, before threads ask it all at once.

    It is not to warn of what it reads all the same: large photographs are decoded one at a time.
    """
    Image.init()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@contextmanager
def _in_turn(image: Image.Image) -> Iterator[None]:
    """Let a large image be decoded alone."""
    with _one_at_a_time if image.width * image.height > _LARGE else nullcontext():
        yield


def size_of(file: IO[bytes]) -> Size:
    """Return height and width of an image, by its header alone. Raises one of UNREADABLE."""
    with Image.open(file, formats=FORMATS) as image, _in_turn(image):  # a PNG is decoded to look for its EXIF
        width, height = image.size
        return (width, height) if image.getexif().get(_ORIENTATION) in _TURNED else (height, width)


def decode(data: bytes, size: Size | None, grey: bool) -> tuple[NDArray[np.uint8], bool]:
    """Return an image's pixels, uint8 (C, H, W), and whether its format keeps them exactly.

    Raises one of UNREADABLE.
    """
    fitted, lossless = _opened(data, grey, lambda plain: plain if size is None else _fitted(plain, size))
    pixels = np.asarray(fitted).reshape(fitted.height, fitted.width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)), lossless


def decode_whole(data: bytes, short_side: int, *, grey: bool) -> NDArray[np.uint8]:
    """Return an image with its shorter side brought to `short_side`: uint8 (H, W, C). Raises one of UNREADABLE."""
    fitted, _ = _opened(data, grey, lambda plain: _whole(plain, short_side))
    return np.asarray(fitted).reshape(fitted.height, fitted.width, -1)


def fitted(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return an image uint8 (C, H, W), grey or RGB, brought to a size as `decode` does it."""
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    found = _fitted(image, size)
    return np.ascontiguousarray(np.asarray(found).reshape(*size, -1).transpose(2, 0, 1))


def _opened(data: bytes, grey: bool, fit: Callable[[Image.Image], Image.Image]) -> tuple[Image.Image, bool]:
    """Decode an image, turn it as its EXIF says, and fit it; with it, whether its format keeps pixels exactly."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as image, _in_turn(image):
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"its pixels have more than 8 bits (mode {image.mode}): save it with 8 bits a channel")
        lossless = _is_lossless(image.format, image.info, data)
        ImageOps.exif_transpose(image, in_place=True)
        plain: Image.Image = image
        if image.mode == "P" and "transparency" in image.info:
            plain = image.convert("RGBA")
        plain = plain.convert("L" if grey else "RGB")
        return fit(plain), lossless


def _fitted(image: Image.Image, size: Size) -> Image.Image:
    """Return the middle of an image that was made as small as `size` allows."""
    height, width = size
    if width * image.height >= height * image.width:
        new = (width, image.height * width // image.width)
    else:
        new = (image.width * height // image.height, height)
    resized = image.resize(new, Image.Resampling.BILINEAR)
    left, top = (resized.width - width) // 2, (resized.height - height) // 2
    return resized.crop((left, top, left + width, top + height))


def _whole(image: Image.Image, short_side: int) -> Image.Image:
    """Return an image with its shorter side brought to `short_side`, and the middle of its longer one."""
    width, height = image.size
    shorter = min(width, height)
    new = (width * short_side // shorter, height * short_side // shorter)
    resized = image if new == image.size else image.resize(new, Image.Resampling.BILINEAR)
    width, height = (min(length, 2 * short_side) for length in new)
    left, top = (new[0] - width) // 2, (new[1] - height) // 2
    return resized if (width, height) == new else resized.crop((left, top, left + width, top + height))


def _is_lossless(form: str | None, info: Mapping[Any, Any], data: bytes) -> bool:
    """Return whether every decoder gives the same pixels. In doubt it is said to be lossy, and its bytes count."""
    if form == "WEBP":
        return data[12:16] == b"VP8L"  # the plain lossless form
    if form == "TIFF":
        return info.get("compression", "raw") in _LOSSLESS_TIFF
    return form in _LOSSLESS
