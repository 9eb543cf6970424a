"""Random patches of images of any size: where they are from, in which poses, and what is drawn when."""

import numpy as np
import pytest
import torch

from harness.base.errors import HarnessError
from harness.data.augment import RandomPatches

SIZE = 4


def images():
    """Two images whose pixels say where they are: row and column, and which image."""
    made = []
    for number, (height, width) in enumerate([(6, 9), (11, 5)]):
        rows, columns = np.mgrid[:height, :width]
        made.append(np.stack([rows, columns, np.full_like(rows, number)]).astype(np.uint8))
    return made


def patches(seed=0, per_image=200):
    found = RandomPatches(images(), SIZE, per_image, torch.device("cpu"))
    found.begin_epoch(torch.Generator().manual_seed(seed))
    return found


def poses(square):
    """All eight ways in which a square (C, n, n) can lie."""
    turned = [torch.rot90(square, k, (1, 2)) for k in range(4)]
    return [*turned, *(one.flip(2) for one in turned)]


def test_each_is_a_square_of_its_image_in_one_of_eight_poses():
    found = patches()
    seen = set()
    for number, patch in enumerate(found(torch.arange(len(found)))):
        image = torch.from_numpy(images()[number % 2])
        assert set(patch[2].unique().tolist()) == {number % 2}
        top, left = int(patch[0].min()), int(patch[1].min())
        square = image[:, top : top + SIZE, left : left + SIZE]
        matching = [k for k, pose in enumerate(poses(square)) if torch.equal(pose, patch)]
        assert len(matching) == 1
        seen.add((number % 2, top, left, matching[0]))
    places = {(image, top, left) for image, top, left, _ in seen}
    assert places == {(0, t, c) for t in range(3) for c in range(6)} | {(1, t, c) for t in range(8) for c in range(2)}
    assert {pose for *_, pose in seen} == set(range(8))


def test_an_epoch_follows_from_its_stream_alone():
    index = torch.tensor([5, 3, 399])
    assert torch.equal(patches(1)(index), patches(1)(index))
    assert not torch.equal(patches(1)(index), patches(2)(index))


def test_they_are_dense_in_channels_last_order():
    assert patches()(torch.arange(8)).is_contiguous(memory_format=torch.channels_last)


def test_an_image_smaller_than_a_patch_is_refused():
    with pytest.raises(HarnessError, match="patches of 6×6 pixels do not fit into an image of 5×11"):
        RandomPatches(images(), 6, 1, torch.device("cpu"))
