"""A picture file as pixels, and pixels as a PNG: `harness denoise` reads any picture that people have and writes PNG.

Read are the formats of `harness.data.own.images`. The picture is turned as its EXIF says; a palette and CMYK become
RGB, 16 bits per channel become 8, of several frames the first is taken: each of these is said in a note. Transparency
is kept as it is, and so is the colour profile, unless the colours were converted.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin

from harness.base.errors import HarnessError
from harness.base.files import atomic_open, read_regular
from harness.data.own.images import FORMATS, LARGEST_FILE, UNREADABLE

Pixels = NDArray[np.uint8]

_WRITTEN_BY = "harness denoise"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH = 24  # where in a PNG file the bits per channel are written
_PLAIN = {"L", "LA", "RGB", "RGBA"}
_16_BITS = {"I;16", "I;16B", "I;16L", "I;16N"}
_GAP, _STRIP = 4, 16  # pixels between panels, and the height of the strip with their names
_WITHIN = 0.99  # of a difference's pixels that amplification may not cut off


@dataclass(frozen=True)
class Picture:
    """Pixels uint8 (H, W, C), grey or RGB; transparency uint8 (H, W) if it has any; what was converted, in words."""

    pixels: Pixels
    alpha: Pixels | None = None
    profile: bytes | None = None
    notes: tuple[str, ...] = field(default=())


def read_picture(path: Path) -> Picture:
    """Return the picture in a file. Raises HarnessError, naming the file, if it is damaged or is none that is read."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise HarnessError(f"{path}: the file has {size:,} bytes, more than any picture that can be read")
        data = read_regular(path)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _decoded(image, data)
    except HarnessError:
        raise
    except UNREADABLE as error:
        raise HarnessError(f"{path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    words = " ".join(str(error).split())
    if words.startswith("cannot identify"):
        return f"not a picture in a format that can be read ({', '.join(FORMATS)})"
    return f"the picture cannot be read: {words or type(error).__name__}"


def _decoded(image: Image.Image, data: bytes) -> Picture:
    notes = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append("it has several frames: only the first is used")
    mode, profile = image.mode, image.info.get("icc_profile")
    deep = mode in _16_BITS or (data.startswith(_PNG) and data[_PNG_DEPTH] == 16)
    if mode.startswith(("I", "F")) and not deep:
        raise ValueError(f"its pixels have more than 16 bits (mode {mode}); save it with 8 bits per channel")
    if deep:
        notes.append("its 16 bits per channel were reduced to 8")
    turned = ImageOps.exif_transpose(image)
    if mode in _16_BITS:
        upper = (np.asarray(turned) >> 8).astype(np.uint8)
        return Picture(upper[..., None], None, profile, tuple(notes))
    if mode == "P" or mode not in {*_PLAIN, "1"}:
        notes.append(f"its colours were converted to RGB (it has {'a palette' if mode == 'P' else mode})")
        profile = None
    plain = turned.convert(_plain_mode(turned))
    values = np.asarray(plain).reshape(plain.height, plain.width, -1)
    channels = 1 if plain.mode in {"L", "LA"} else 3
    alpha = np.ascontiguousarray(values[..., -1]) if plain.mode in {"LA", "RGBA"} else None
    return Picture(np.ascontiguousarray(values[..., :channels]), alpha, profile, tuple(notes))


def _plain_mode(image: Image.Image) -> str:
    """Return the mode of Pillow that a picture is brought to: grey or RGB, with transparency if it has any."""
    transparent = "transparency" in image.info or image.mode in {"LA", "La", "PA", "RGBA", "RGBa"}
    grey = image.mode in {"1", "L", "LA", "La"}
    return ("LA" if grey else "RGBA") if transparent else "L" if grey else "RGB"


def check_target(target: Path, sources: Sequence[Path], *, overwrite: bool) -> None:
    """Raise HarnessError unless a PNG may be written to a path: never over an input.

    Over another file only if `harness denoise` wrote it, or if `overwrite` says so.
    """
    if target.is_dir():
        raise HarnessError(f"{target} is a folder; name a file")
    if target.exists() and any(source.exists() and target.samefile(source) for source in sources):
        raise HarnessError(f"{target} is an input, which is never overwritten; name another file with --out")
    if target.exists() and not target.is_file():
        return  # a device, which takes what it is given
    if target.suffix.lower() != ".png":
        raise HarnessError(f"{target}: only PNG is written; give a name that ends with .png")
    if target.exists() and not overwrite and not _is_ours(target):
        raise HarnessError(f"{target} exists and was not written by this command; add --overwrite to replace it")


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as image:
            return image.info.get("Software") == _WRITTEN_BY
    except UNREADABLE:
        return False


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture as PNG, all of it or nothing. Raises OSError as `open` does."""
    values = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    _write(path, Image.fromarray(values[..., 0] if values.shape[2] == 1 else values), picture.profile)


def _write(path: Path, image: Image.Image, profile: bytes | None = None) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", _WRITTEN_BY)
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    with atomic_open(path) as file:
        image.save(file, format="PNG", pnginfo=text, **options)


def write_side_by_side(path: Path, before: Pixels, after: Pixels, clean: Pixels | None = None) -> int:
    """Write pictures side by side as one PNG: clean if it is known, before, after, and what was removed, amplified.

    All are uint8 (H, W, C). The difference before − after is multiplied and put on a grey of 128. Returns the factor:
    the power of two from 1 to 32 at which 99% of its values fit.
    """
    difference = before.astype(np.float32) - after
    largest = float(np.quantile(np.abs(difference), _WITHIN)) if difference.size else 0.0
    factor = next((f for f in (32, 16, 8, 4, 2) if f * largest <= 127), 1)
    removed = np.clip(128 + factor * difference, 0, 255).astype(np.uint8)
    panels = {"before": before, "after": after, f"difference x{factor}": removed}
    panels = panels if clean is None else {"clean": clean, **panels}
    height, width, channels = before.shape
    sheet = Image.new("L" if channels == 1 else "RGB", (len(panels) * (width + _GAP) - _GAP, height + _STRIP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, pixels) in enumerate(panels.items()):
        left = number * (width + _GAP)
        draw.rectangle((left, 0, left + width + _GAP, _STRIP), fill="white")  # a long name ends at its panel
        draw.text((left + 2, 2), name, fill="black")
        sheet.paste(Image.fromarray(pixels[..., 0] if channels == 1 else pixels), (left, _STRIP))
    _write(path, sheet)
    return factor
