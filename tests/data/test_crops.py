"""Random crops: drawn as torchvision draws them, resized as Pillow resizes them."""

import numpy as np
import pytest
import torch
from PIL import Image

from harness.data.crops import Boxes, ResizedCrops, WholeImages, by_gathers, most_taps, resized, uncropped
from harness.data.dataset import Arrays

CPU = torch.device("cpu")
AUGMENTATION = {"kind": "resized_crop", "area": [0.2, 1.0]}


def _photograph(height, width):
    """Return waves of several lengths, uint8 (H, W, 3): noise would make every filter look wrong."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 5 + y / 9), np.sin(x / 3 - y / 4), np.cos(y / 6) * np.sin(x / 2.5)]
    return np.round(127.5 + 120 * np.stack(waves, 2)).astype(np.uint8)


@pytest.mark.parametrize("size", [(20, 20), (33, 24), (64, 48)])
def test_a_crop_is_what_pillow_makes_of_the_box_by_both_ways(size):
    images = [_photograph(48, 70), _photograph(60, 48)]
    boxes = torch.tensor([[3, 5, 40, 61], [10, 0, 48, 31]])
    pixels = torch.from_numpy(np.concatenate([image.reshape(-1, 3) for image in images]))
    first, width = torch.tensor([0, 48 * 70]), torch.tensor([70, 48])
    taps = most_taps(np.array([[48, 70], [60, 48]], np.int32), size)
    found = [
        resized(pixels, first, width, boxes, size, taps=taps),
        by_gathers(pixels, first, width, boxes, size, taps),
    ]
    for number, (image, (top, left, height, across)) in enumerate(zip(images, boxes.tolist(), strict=True)):
        crop = Image.fromarray(image[top : top + height, left : left + across])
        expected = np.asarray(crop.resize(size[::-1], Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        for crops in found:
            assert crops.dtype == torch.uint8
            assert np.abs(crops[number].numpy().astype(int) - expected).max() <= 1
    assert found[0].unique().numel() > 50


def test_boxes_lie_in_their_images_and_have_the_areas_and_ratios_that_are_asked_for():
    sizes = np.array([[80, 120]] * 3000, np.int32)
    boxes = Boxes(sizes, (0.08, 1.0), (3 / 4, 4 / 3))
    boxes.draw(torch.Generator().manual_seed(1))
    top, left, height, width = boxes.box.unbind(1)
    assert bool((top >= 0).all() and (left >= 0).all() and (top + height <= 80).all() and (left + width <= 120).all())
    ratio = width / height
    assert 0.70 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.42
    area = height * width / (80 * 120)
    assert area.min() < 0.1
    assert area.max() > 0.85
    assert 0.45 < boxes.flip.double().mean() < 0.55
    assert left.unique().numel() > 50


def test_an_image_in_which_no_box_fits_gets_the_largest_one_in_its_middle():
    boxes = Boxes(np.array([[20, 200], [200, 20], [50, 50]], np.int32), (1.0, 1.0), (1.0, 1.0))
    boxes.draw(torch.Generator().manual_seed(0))
    assert boxes.box.tolist() == [[0, 90, 20, 20], [90, 0, 20, 20], [0, 0, 50, 50]]


def test_boxes_depend_on_the_generator_alone():
    sizes = np.array([[40, 60]] * 50, np.int32)
    first, second, other = (Boxes(sizes, (0.08, 1.0), (0.75, 1.33)) for _ in range(3))
    other.draw(torch.Generator().manual_seed(2))
    other.draw(torch.Generator().manual_seed(5))
    for boxes in (first, second):
        boxes.draw(torch.Generator().manual_seed(5))
    assert torch.equal(first.box, second.box)
    assert torch.equal(first.box, other.box)
    assert torch.equal(first.flip, other.flip)


def test_crops_of_arrays_have_their_own_size_and_are_flipped_as_drawn():
    images = np.stack([_photograph(24, 24).transpose(2, 0, 1)] * 8)
    crops = ResizedCrops(
        uncropped(Arrays(images, np.zeros(8, np.int64))), {"area": [1.0, 1.0], "ratio": [1.0, 1.0]}, CPU
    )
    crops.begin_epoch(torch.Generator().manual_seed(3))
    found = crops(torch.arange(8))
    flipped = [bool((one == images[0, :, :, ::-1]).all()) for one in found.numpy()]
    assert [bool((one == images[0]).all()) for one in found.numpy()] == [not one for one in flipped]
    assert 0 < sum(flipped) < 8


def test_evaluation_sees_the_centre():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 12, 12), np.uint8)
    whole = WholeImages(uncropped(Arrays(images, np.arange(5))), CPU)
    batches = list(whole.batches(2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    assert np.array_equal(torch.cat([crops for crops, _ in batches]).numpy(), images)
    assert np.array_equal(whole.at([4, 1]).numpy(), images[[4, 1]])
