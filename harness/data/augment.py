"""Training images on the device, and what is done to each of them: nothing, or a flip and a crop.

All of an epoch's decisions are drawn at once on the CPU, one for each image of the set, so that they are the same on
every device and for every order; they are carried out for a whole batch at once, on the device.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


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
