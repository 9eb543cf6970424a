"""Flips and crops: against one image at a time with torchvision's way of padding, and what is drawn."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from harness.data.augment import FlipCrop, Unchanged, training_images


@pytest.fixture
def images():
    return torch.randint(1, 256, (40, 3, 8, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def naive(image, flip, down, right, padding):
    """Pad with black, crop, flip: one image (C, H, W)."""
    _, height, width = image.shape
    padded = F.pad(image, (padding, padding, padding, padding))
    crop = padded[:, down : down + height, right : right + width]
    return crop.flip(2) if flip else crop


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_a_batch_is_what_each_image_alone_would_be(images, padding):
    cropped = FlipCrop(images, padding)
    cropped.begin_epoch(torch.Generator().manual_seed(3))
    index = torch.tensor([5, 0, 39, 5, 17])
    batch = cropped(index)
    assert (batch.shape, batch.dtype) == ((5, 3, 8, 10), torch.uint8)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    for image, i in zip(batch, index.tolist(), strict=True):
        down, right = cropped._offset[i].tolist()
        assert image.equal(naive(images[i], bool(cropped._flip[i]), down, right, padding))


def test_what_is_drawn_follows_from_the_generator_alone(images):
    seen = []
    for seed in (1, 1, 2):
        cropped = FlipCrop(images, 4)
        cropped.begin_epoch(torch.Generator().manual_seed(seed))
        seen.append(cropped(torch.arange(40)))
    assert seen[0].equal(seen[1])
    assert not seen[0].equal(seen[2])


def test_another_epoch_draws_into_the_same_memory(images):
    cropped = FlipCrop(images, 4)
    places = cropped._flip.data_ptr(), cropped._offset.data_ptr()
    cropped.begin_epoch(torch.Generator().manual_seed(1))
    first = cropped(torch.arange(40))
    cropped.begin_epoch(torch.Generator().manual_seed(2))
    assert (cropped._flip.data_ptr(), cropped._offset.data_ptr()) == places
    assert not cropped(torch.arange(40)).equal(first)


def test_flips_are_fair_and_offsets_uniform():
    cropped = FlipCrop(torch.zeros(20_000, 1, 2, 2, dtype=torch.uint8), 4)
    cropped.begin_epoch(torch.Generator().manual_seed(0))
    assert abs(cropped._flip.float().mean() - 0.5) < 0.02
    for axis in range(2):
        counts = np.bincount(cropped._offset[:, axis].numpy(), minlength=9)
        assert len(counts) == 9
        assert abs(counts / 20_000 - 1 / 9).max() < 0.01


def test_without_augmentation_images_are_as_they_are(images):
    plain = training_images(images, "none")
    assert isinstance(plain, Unchanged)
    plain.begin_epoch(torch.Generator())
    assert plain(torch.tensor([2, 1])).equal(images[[2, 1]])


def test_an_unknown_augmentation_is_refused(images):
    with pytest.raises(ValueError, match="unknown augmentation"):
        training_images(images, {"kind": "mixup"})
