"""Crops of images that are kept whole, on the device: random ones to train on, the centre to evaluate on.

A crop's area and ratio are drawn as torchvision's RandomResizedCrop draws them (ten tries, then the middle), for all
images of an epoch at once on the CPU: what an image gets depends on the seed, the epoch and its place in canonical
order alone. It is resized by the antialiased bilinear filter of Pillow, on bytes; on a GPU by weighted gathers, which
a captured step can hold and which agree with it to one of 255 levels.

The images are held decoded on the device, or decoded by processes for the batches that are asked for ahead. Both give
the same bits.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from harness.attempt.data import DatasetDeclaration
from harness.data.dataset import Arrays, load_dataset
from harness.data.own.declare import is_kept_whole
from harness.data.own.decoder import Decoders, Form
from harness.data.own.scaled import ScaledImages, load_scaled

_TRIES = 10
_DECODED_AT_ONCE = 100  # images of an evaluation that are not held


def load_splits(declaration: DatasetDeclaration, root: Path) -> Mapping[str, Arrays] | Mapping[str, ScaledImages]:
    """Return a labelled dataset's splits as `load_dataset` does: arrays, or images that are kept whole.

    Raises HarnessError if the files are missing, or are not the data that were declared.
    """
    if declaration.source is not None and is_kept_whole(declaration.source):
        return load_scaled(declaration, root)
    return load_dataset(declaration, root)


def uncropped(arrays: Arrays) -> ScaledImages:
    """Return arrays as images that are kept whole, whose crops are resized to their own size."""
    count, channels, height, width = arrays.images.shape
    return ScaledImages(
        files=(),
        labels=arrays.labels,
        sizes=np.full((count, 2), (height, width), np.int32),
        first=np.arange(count, dtype=np.int64) * (height * width),
        pixels=np.ascontiguousarray(arrays.images.transpose(0, 2, 3, 1)).reshape(-1, channels),
        form=Form(min(height, width), grey=channels == 1),
        crop=(height, width),
        workers=1,
    )


class Boxes:
    """A box and a flip for each image, drawn again in every epoch."""

    def __init__(self, sizes: NDArray[np.int32], area: Sequence[float], ratio: Sequence[float]) -> None:
        """Take heights and widths (N, 2), and the limits of a box's part of the area and of its width by its height."""
        self._sizes = torch.from_numpy(sizes.astype(np.int64))
        self._area, self._ratio = area, ratio
        self.box = torch.zeros(len(sizes), 4, dtype=torch.int64)  # top, left, height, width
        self.flip = torch.zeros(len(sizes), dtype=torch.bool)

    def draw(self, generator: torch.Generator) -> None:
        """Draw all of them, on the CPU."""
        count, sizes = len(self._sizes), self._sizes
        found, shape = torch.zeros(count, dtype=torch.bool), self._whole()
        low, high = math.log(self._ratio[0]), math.log(self._ratio[1])
        for _ in range(_TRIES):
            drawn = torch.rand(count, 2, generator=generator, dtype=torch.float64)
            target = sizes.prod(1) * (self._area[0] + (self._area[1] - self._area[0]) * drawn[:, 0])
            ratio = torch.exp(low + (high - low) * drawn[:, 1])
            tried = torch.stack([torch.sqrt(target / ratio), torch.sqrt(target * ratio)], 1).round().long()
            fits = ((tried > 0) & (tried <= sizes)).all(1)
            shape = torch.where((fits & ~found)[:, None], tried, shape)
            found |= fits
        drawn = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        corner = torch.where(found[:, None], (drawn * (sizes - shape + 1)).long(), (sizes - shape) // 2)
        self.box.copy_(torch.cat([corner, shape], 1))
        self.flip.copy_(torch.randint(2, (count,), generator=generator).bool())

    def _whole(self) -> Tensor:
        """Return the shape of the largest box of an allowed ratio: (N, 2)."""
        height, width = self._sizes.unbind(1)
        ratio = width / height
        narrow, wide = ratio < self._ratio[0], ratio > self._ratio[1]
        return torch.stack(
            [
                torch.where(narrow, (width / self._ratio[0]).round().long(), height),
                torch.where(wide, (height * self._ratio[1]).round().long(), width),
            ],
            1,
        )


class ResizedCrops:
    """The training images of a set under `resized_crop`."""

    def __init__(self, images: ScaledImages, augmentation: Mapping[str, Any], device: torch.device) -> None:
        self._images, self._size, self._device = images, images.crop, device
        self._boxes = Boxes(
            images.sizes, augmentation.get("area", (0.08, 1)), augmentation.get("ratio", (3 / 4, 4 / 3))
        )
        self._taps = most_taps(images.sizes, images.crop)
        self._box, self._flip = self._boxes.box.to(device), self._boxes.flip.to(device)
        self._first = torch.from_numpy(images.first).to(device)
        self._width = torch.from_numpy(images.sizes[:, 1].astype(np.int64)).to(device)
        self._pixels = None if images.pixels is None else torch.from_numpy(images.pixels).to(device)
        self._decoders: Decoders | None = None
        self._batch_size = 0
        self._share = 0  # where what is asked for begins in the batch

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw a box and a flip for every image."""
        self._boxes.draw(generator)
        self._box.copy_(self._boxes.box)
        self._flip.copy_(self._boxes.flip)

    def read_ahead(self, batches: Sequence[Tensor]) -> None:
        """Begin to decode the batches that will be asked for, in this order, unless the images are held."""
        if self._pixels is not None and self._decoders is None:
            return
        largest = max(map(len, batches), default=0)
        if self._decoders is None or largest > self._batch_size:
            if self._decoders is not None:
                self._decoders.close()
            images, self._batch_size = self._images, largest
            self._decoders = Decoders(images.files, images.form, largest, images.workers)
            self._pixels = torch.zeros(
                largest * images.form.places, images.form.channels, dtype=torch.uint8, device=self._device
            )
        self._decoders.ask([batch.cpu().numpy() for batch in batches])

    def begin_step(self) -> None:
        """Bring the next batch to the device, to stay until the next step; images that are held are there already."""
        if self._decoders is not None and self._pixels is not None:
            decoded = torch.from_numpy(self._decoders.next().pixels.reshape(-1, self._pixels.shape[1]))
            if self._device.type == "cpu":
                self._pixels = decoded  # the decoders' own memory: no copy
            else:
                self._pixels[: len(decoded)].copy_(decoded)

    def share(self, part: slice) -> None:
        """Say which images of a batch are asked for, if several processes share it; each decodes all of it."""
        self._share = part.start or 0

    def __call__(self, index: Tensor) -> Tensor:
        """Return the crops of the images at `index`, int64 (B,), as uint8 (B, C, H, W)."""
        if self._pixels is None:
            raise RuntimeError("images that are not held in memory are asked for ahead")
        if self._decoders is None:
            first = self._first[index]
        else:
            first = (self._share + torch.arange(len(index), device=self._device)) * self._images.form.places
        crops = resized(self._pixels, first, self._width[index], self._box[index], self._size, taps=self._taps)
        return torch.where(self._flip[index][:, None, None, None], crops.flip(3), crops)


def most_taps(sizes: NDArray[np.int32], size: tuple[int, int]) -> int:
    """Return how many pixels in a row the filter takes at most, for any box in images of these heights and widths."""
    largest: list[int] = sizes.max(0).tolist()
    scale: float = max(1.0, *(side / wanted for side, wanted in zip(largest, size, strict=True)))
    return 2 * math.ceil(scale) + 1


def resized(pixels: Tensor, first: Tensor, width: Tensor, box: Tensor, size: tuple[int, int], *, taps: int) -> Tensor:
    """Return boxes out of images, resized to `size`: uint8 (B, C, H, W).

    Args:
        pixels: of all images, uint8 (P, C), row by row. first: of each image, its first pixel, int64 (B,). width: its
            width (B,). box: top, left, height and width in it (B, 4).
        size: height and width. taps: as `most_taps`.
    """
    if pixels.device.type == "cpu":
        return _by_interpolation(pixels, first, width, box, size)
    return by_gathers(pixels, first, width, box, size, taps)


def _by_interpolation(pixels: Tensor, first: Tensor, width: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the same one after the other, by torch's own antialiased filter for bytes."""
    channels = pixels.shape[1]
    out = torch.empty(len(first), channels, *size, dtype=torch.uint8)
    whole = zip(first.tolist(), width.tolist(), box.tolist(), strict=True)
    for number, (start, row, (top, left, height, across)) in enumerate(whole):
        begin = (start + top * row + left) * channels
        strides = (0, 1, row * channels, channels)
        crop = pixels.as_strided((1, channels, height, across), strides, pixels.storage_offset() + begin)
        out[number] = (
            F.interpolate(crop, size, mode="bilinear", antialias=True)[0] if (height, across) != size else crop[0]
        )
    return out


def by_gathers(pixels: Tensor, first: Tensor, width: Tensor, box: Tensor, size: tuple[int, int], taps: int) -> Tensor:
    """Return the same in a fixed number of operations, none of which waits for the device."""
    rows, row_weights = _filter(box[:, 2], size[0], taps)  # (B, H, taps) each
    columns, column_weights = _filter(box[:, 3], size[1], taps)  # (B, W, taps) each
    start = (first + box[:, 0] * width + box[:, 1])[:, None, None]
    out = torch.zeros(len(first), *size, pixels.shape[1], device=pixels.device)
    for down in range(taps):
        place = start + rows[:, :, None, down] * width[:, None, None]  # (B, H, 1)
        line = torch.zeros_like(out)
        for right in range(taps):
            taken = pixels[place + columns[:, None, :, right]]  # (B, H, W, C)
            line += taken * column_weights[:, None, :, right, None]
        out += line * row_weights[:, :, None, down, None]
    return out.add_(0.5).clamp_(0, 255).to(torch.uint8).permute(0, 3, 1, 2)


def _filter(length: Tensor, size: int, taps: int) -> tuple[Tensor, Tensor]:
    """Return which pixels of a box of some length (B,) each of `size` results is made of, and their weights.

    Both (B, size, taps). It is Pillow's triangle: of radius 1, or of the scale if the box is larger than the result.
    """
    scale = (length.double() / size)[:, None, None]  # (B, 1, 1)
    radius = scale.clamp(min=1)
    centre = (torch.arange(size, device=length.device)[None, :, None] + 0.5) * scale  # (B, size, 1)
    begin = (centre - radius + 0.5).floor().clamp(min=0)
    end = torch.minimum((centre + radius + 0.5).floor(), length.double()[:, None, None])
    at = begin + torch.arange(taps, device=length.device)
    weights = (1 - ((at + 0.5 - centre) / radius).abs()).clamp(min=0) * (at < end)
    weights = weights / weights.sum(2, keepdim=True)
    return torch.minimum(at, length.double()[:, None, None] - 1).long(), weights.float()


class WholeImages:
    """A split that is evaluated on the centre of each image, decoded for it if it is not held."""

    def __init__(self, images: ScaledImages, device: torch.device) -> None:
        self._images, self._device = images, device
        self.labels = torch.from_numpy(images.labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def after(self, start: int) -> "WholeImages":
        """Return the images from number `start` on."""
        return WholeImages(self._images.at(range(start, len(self))), self._device)

    @property
    def pixels_each(self) -> int:
        """Height times width of a centre."""
        return math.prod(self._images.crop)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images uint8 (B, C, H, W) and labels, in canonical order, at most `size` at a time."""
        for start, crops in centre_crops(self._images, min(size, _DECODED_AT_ONCE)):
            yield torch.from_numpy(crops).to(self._device), self.labels[start : start + len(crops)]

    def at(self, places: Sequence[int]) -> Tensor:
        """Return the images at some places: uint8 (B, C, H, W)."""
        crops = [crop for _, crop in centre_crops(self._images.at(places), _DECODED_AT_ONCE)]
        return torch.from_numpy(np.concatenate(crops)).to(self._device)


def centre_crops(images: ScaledImages, at_once: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number of the first and the centres of some images, uint8 (B, C, H, W), until all are done."""
    parts = [np.arange(start, min(start + at_once, len(images))) for start in range(0, len(images), at_once)]
    decoders = None
    if images.pixels is None:
        decoders = Decoders(images.files, images.form, at_once, min(images.workers, len(images)))
        decoders.ask(parts)
    try:
        for part in parts:
            given = None if decoders is None else decoders.next().pixels
            crops = [_centre(images, int(i), None if given is None else given[n]) for n, i in enumerate(part)]
            yield int(part[0]), np.stack(crops)
    finally:
        if decoders is not None:
            decoders.close()


def _centre(images: ScaledImages, number: int, decoded: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return the centre of an image: uint8 (C, H, W)."""
    height, width = (int(length) for length in images.sizes[number])
    if decoded is None:
        start = int(images.first[number])
        decoded = images.pixels[start:] if images.pixels is not None else np.empty((0, 3), np.uint8)
    image = decoded[: height * width].reshape(height, width, -1)
    top, left = (height - images.crop[0]) // 2, (width - images.crop[1]) // 2
    return np.ascontiguousarray(image[top : top + images.crop[0], left : left + images.crop[1]].transpose(2, 0, 1))
