"""Training images on the device, and what is done to each of them: nothing, a flip and a crop, or patches out of them.

All of an epoch's decisions are drawn at once on the CPU, one for each image of the set, so that they are the same on
every device and for every order; they are carried out for a whole batch at once, on the device.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from harness.base.errors import HarnessError


class TrainingImages(Protocol):
    """A training set of uint8 images that are fetched in batches."""

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw what the epoch will do to each image."""

    def __call__(self, index: Tensor) -> Tensor:
        """Return the images at `index`, int64 (B,), as uint8 (B, C, H, W) on the device."""


def training_images(images: Tensor, augmentation: str | Mapping[str, Any]) -> TrainingImages:
    """Return images uint8 (N, C, H, W) under a protocol's augmentation. Raises ValueError for an unknown one."""
    if augmentation == "none":
        return Unchanged(images)
    if isinstance(augmentation, Mapping) and augmentation.get("kind") == "flip_crop":
        return FlipCrop(images, augmentation["padding"])
    raise ValueError(f"unknown augmentation {augmentation!r}")


class Unchanged:
    """Images as they are."""

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw nothing."""

    def __call__(self, index: Tensor) -> Tensor:
        """Return the images at `index`."""
        return self._images[index]


class FlipCrop:
    """Each image flipped left to right with probability ½, and cropped at random from itself with a black border.

    Crops are as torchvision's RandomCrop(H, padding) makes them, offsets uniform in 0 … 2·padding both ways. Flips and
    offsets lie in tensors that stay where they are, so that a captured graph reads those of the current epoch.
    """

    def __init__(self, images: Tensor, padding: int) -> None:
        """Take images uint8 (N, C, H, W), and the width of the border in pixels."""
        self._count, channels, self._height, self._width = images.shape
        self._padding = padding
        device = images.device
        pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
        self._pixels = F.pad(pixels, (0, 0, 0, 1))  # (N·H·W + 1, C): the last one is the border's black
        self._flip = torch.zeros(self._count, dtype=torch.bool, device=device)
        self._offset = torch.zeros(self._count, 2, dtype=torch.int64, device=device)  # of the crop: down, right
        self._rows = torch.arange(self._height, device=device)
        self._columns = torch.arange(self._width, device=device)

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw a flip and an offset for every image."""
        self._flip.copy_(torch.randint(2, (self._count,), generator=generator).bool())
        self._offset.copy_(torch.randint(2 * self._padding + 1, (self._count, 2), generator=generator))

    def __call__(self, index: Tensor) -> Tensor:
        """Return the crops at `index`, dense in channels-last order."""
        height, width = self._height, self._width
        offset = self._offset[index] - self._padding  # (B, 2)
        row = (offset[:, :1] + self._rows)[:, :, None]  # (B, H, 1)
        column = torch.where(self._flip[index][:, None], width - 1 - self._columns, self._columns)
        column = (offset[:, 1:] + column)[:, None, :]  # (B, 1, W)
        place = index[:, None, None] * (height * width) + row * width + column  # (B, H, W)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = torch.where(inside, place, self._count * height * width)
        crops = self._pixels.index_select(0, place.view(-1))
        return crops.view(len(index), height, width, -1).permute(0, 3, 1, 2)


class RandomPatches:
    """Squares out of images of any size, in one of the eight ways a square can lie: turned by quarters, or mirrored.

    An epoch has `per_image` patches of each image; places are uniform over all that lie within the image. What was
    drawn is copied into the same tensors every epoch, so that a captured graph reads the current epoch's.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]], size: int, per_image: int, device: torch.device) -> None:
        """Take images uint8 (C, H, W) of any sizes. Raises HarnessError for one smaller than a patch."""
        heights, widths = ([image.shape[axis] for image in images] for axis in (1, 2))
        if min(*heights, *widths) < size:
            small = next(image for image in images if min(image.shape[1:]) < size)
            raise HarnessError(
                f"patches of {size}×{size} pixels do not fit into an image of {small.shape[2]}×{small.shape[1]}: write "
                "a smaller 'size' into 'augmentation' of the protocol"
            )
        self.size, self.channels = size, images[0].shape[0]
        self._count = per_image * len(images)
        pixels = np.concatenate([image.reshape(self.channels, -1).T for image in images])
        self._pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)  # (all pixels, C)
        areas = [height * width for height, width in zip(heights, widths, strict=True)]
        first = np.concatenate([[0], np.cumsum(areas)[:-1]])
        numbers = torch.arange(self._count) % len(images)  # which image a patch is of
        self._first = torch.from_numpy(first)[numbers].to(device)  # its first pixel
        self._width = torch.tensor(widths)[numbers].to(device)
        self._room = (
            torch.stack([torch.tensor(heights), torch.tensor(widths)], 1)[numbers] - size + 1
        )  # places each way
        self._corner = torch.zeros(self._count, dtype=torch.int64, device=device)  # the patch's first pixel
        self._pose = torch.zeros(self._count, 3, dtype=torch.bool, device=device)  # transposed, upside down, mirrored
        self._steps = torch.arange(size, device=device)

    def __len__(self) -> int:
        return self._count

    def begin_epoch(self, generator: torch.Generator) -> None:
        """Draw a place and a pose for every patch."""
        drawn = torch.rand(self._count, 2, generator=generator, dtype=torch.float64)
        row, column = (drawn * self._room).long().to(self._first.device).unbind(1)
        self._corner.copy_(self._first + row * self._width + column)
        self._pose.copy_(torch.randint(2, (self._count, 3), generator=generator).bool())

    def __call__(self, index: Tensor) -> Tensor:
        """Return the patches at `index`, int64 (B,), as uint8 (B, C, size, size), dense in channels-last order."""
        transposed, down, mirrored = (part[:, None] for part in self._pose[index].unbind(1))  # (B, 1)
        rows = torch.where(down, self.size - 1 - self._steps, self._steps)[:, :, None]  # (B, size, 1)
        columns = torch.where(mirrored, self.size - 1 - self._steps, self._steps)[:, None, :]  # (B, 1, size)
        width = self._width[index][:, None, None]
        place = torch.where(transposed[..., None], columns * width + rows, rows * width + columns)
        place += self._corner[index][:, None, None]
        patches = self._pixels.index_select(0, place.view(-1))
        return patches.view(len(index), self.size, self.size, -1).permute(0, 3, 1, 2)
