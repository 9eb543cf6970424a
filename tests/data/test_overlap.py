"""Copies of photographs are found however they were changed, and different photographs are not taken for copies."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from measure_overlap import CHANGES, changed, crop, read
from sklearn.datasets import load_sample_images

from harness.base.errors import HarnessError
from harness.data import overlap
from harness.data.keypoints import SYMMETRIES, inverse, keypoints, turned_image, turned_spectra, whitened
from harness.data.locations import data_root
from harness.data.overlap import find_overlaps

OF_SCIKIT_IMAGE = ("astronaut", "chelsea", "coffee")


def _of_scikit_image(name):
    """Return a photograph (3, H, W), None if it is not installed with the library."""
    data = pytest.importorskip("skimage.data")
    try:
        return getattr(data, name)().transpose(2, 0, 1)
    except (OSError, ModuleNotFoundError):  # it would have to be downloaded
        return None


@pytest.fixture(scope="module")
def photographs():
    """Return parts of different photographs, at most 320×400: three, or up to six if scikit-image is installed."""
    images = [image.transpose(2, 0, 1) for image in load_sample_images().images]
    images.append(read(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    try:
        more = [_of_scikit_image(name) for name in OF_SCIKIT_IMAGE]
    except pytest.skip.Exception:
        more = []
    return [np.ascontiguousarray(image[:, :320, :400]) for image in [*images, *more] if image is not None]


def pairs(overlaps):
    return [(each.train_index, each.test_index) for each in overlaps]


def one_to_one(images):
    return [(i, i) for i in range(len(images))]


@pytest.mark.parametrize("name", CHANGES)
def test_every_copy_is_found_and_nothing_else(name, photographs):
    found = find_overlaps(photographs, changed(photographs, CHANGES[name]))
    assert pairs(found) == one_to_one(photographs)
    expected = {"exact"} if name == "none" else {"part"} if "crop" in name else {"whole"}
    assert {each.kind for each in found} == expected
    assert min(each.score for each in found) > 0.95


def test_the_training_image_may_be_the_smaller_part(photographs):
    parts = changed(photographs, CHANGES["crop to 25 %, scale 0.5"])
    assert pairs(find_overlaps(parts, photographs)) == one_to_one(photographs)


def test_two_parts_of_one_photograph_overlap(photographs):
    left = [image[:, :, : image.shape[2] * 2 // 3] for image in photographs]
    right = [image[:, :, image.shape[2] // 3 :] for image in photographs]
    assert pairs(find_overlaps(left, right)) == one_to_one(photographs)


def test_parts_without_anything_in_common_do_not(photographs):
    left = [image[:, :, : image.shape[2] // 2] for image in photographs]
    right = [image[:, :, image.shape[2] // 2 :] for image in photographs]
    assert find_overlaps(left, right) == ()


def test_parts_are_looked_for_only_if_asked_for(photographs):
    two = photographs[:2]
    test = [*changed(two, crop(0.5)), *two]
    assert pairs(find_overlaps(two, test, parts=False)) == [(0, 2), (1, 3)]


def test_one_photograph_may_be_there_several_times(photographs):
    first, second = photographs[:2]
    assert pairs(find_overlaps([first, second, first], [second, first, first])) == [
        (0, 1), (0, 2), (1, 0), (2, 1), (2, 2)
    ]  # fmt: skip


def test_the_order_of_images_does_not_matter(photographs):
    copies = changed(photographs, CHANGES["crop to 25 %, JPEG"])
    forwards = find_overlaps(photographs, copies)
    last = len(photographs) - 1
    backwards = find_overlaps(photographs[::-1], copies[::-1])
    assert [(last - i, last - j) for i, j in pairs(backwards)][::-1] == pairs(forwards)
    assert [each.score for each in backwards][::-1] == [each.score for each in forwards]


def test_images_may_be_read_when_asked_for(photographs):
    class Lazy:
        reads = 0

        def __len__(self):
            return len(photographs)

        def __getitem__(self, index):
            Lazy.reads += 1
            return photographs[index]

    found = find_overlaps(Lazy(), changed(photographs, CHANGES["JPEG, quality 50"]))
    assert pairs(found) == one_to_one(photographs)
    assert Lazy.reads == len(photographs)


@pytest.fixture(scope="module")
def tiny(photographs):
    """Return 32×32 images: parts of photographs that have some structure."""
    parts = [image[:, y : y + 96 : 3, x : x + 96 : 3] for image in photographs for y in (0, 96, 192) for x in (0, 150)]
    return [np.ascontiguousarray(part) for part in parts if part.shape[1:] == (32, 32) and part.std() > 40]


@pytest.mark.parametrize("name", [name for name in CHANGES if "crop" not in name and "0.5" not in name])
def test_copies_of_tiny_images_are_found(name, tiny):
    assert len(tiny) > 6
    found = find_overlaps(tiny, changed(tiny, CHANGES[name]))
    assert pairs(found) == one_to_one(tiny)


def test_noise_and_constant_images_resemble_nothing():
    noise = [np.random.default_rng(i).integers(0, 256, (3, 100, 120), dtype=np.uint8) for i in range(4)]
    plain = [np.full((1, 100, 120), level, np.uint8) for level in (0, 128, 255)]
    assert find_overlaps([*noise[:2], *plain], [*noise[2:], *(image[:, :90] for image in plain)]) == ()
    assert pairs(find_overlaps(plain, plain)) == one_to_one(plain)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (64, 64), (3, 500)])
def test_images_of_any_size(size):
    images = [np.random.default_rng(i).integers(0, 256, (3, *size), dtype=np.uint8) for i in range(3)]
    assert pairs(each for each in find_overlaps(images, images) if each.kind == "exact") == one_to_one(images)


def test_no_images_overlap_with_nothing(photographs):
    assert find_overlaps([], photographs[:1]) == find_overlaps(photographs[:1], []) == find_overlaps([], []) == ()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 20, 20)),
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 3), np.uint8),
        np.zeros((3, 0, 9), np.uint8),
    ],
    ids=lambda image: f"{image.dtype} {image.shape}",
)
def test_refused(image):
    good = np.zeros((3, 20, 20), np.uint8)
    with pytest.raises(
        HarnessError, match=r"^training image 1 is .* overlap needs uint8 \(C, H, W\) with 1 or 3 channels$"
    ):
        find_overlaps([good, image], [good])
    with pytest.raises(HarnessError, match=r"^test image 0 is "):
        find_overlaps([good], [image])


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_turned_image_has_turned_spectra_and_places(symmetry, photographs):
    grey = photographs[0][1].astype(np.float32)
    square = grey[:32, 40:72]
    expected = whitened(turned_image(square, symmetry)[None], 8)
    np.testing.assert_allclose(turned_spectra(whitened(square[None], 8), symmetry), expected, atol=1e-4)
    np.testing.assert_array_equal(turned_image(turned_image(grey, symmetry), inverse(symmetry)), grey)
    rows, columns = np.indices(grey.shape)
    some = keypoints(grey)
    some = type(some)(some.shape, np.rint(some.places), some.scales, some.spectra)
    at = tuple(some.turned_places(symmetry).astype(int).T)
    found = np.stack([turned_image(index, symmetry)[at] for index in (rows, columns)], 1)
    np.testing.assert_array_equal(found, some.places)


def _photographs_of(*names):
    folder = data_root().joinpath(*names)
    if not folder.is_dir():
        pytest.skip(f"the photographs of {'/'.join(names)} are not here")
    return [read(path) for path in sorted(folder.iterdir()) if path.suffix in {".jpg", ".png"}]


def test_kodak_has_nothing_in_common_with_berkeley():
    assert find_overlaps(_photographs_of("BSDS500", "val")[:40], _photographs_of("Kodak24")) == ()


def test_berkeley_test_images_are_among_those_of_the_larger_set():
    test = _photographs_of("CBSD68")[::4]
    found = find_overlaps([image[:, 30:-30, 20:-20] for image in test], test)
    assert pairs(found) == one_to_one(test)


def test_blocks_of_training_images_of_any_size_give_the_same(photographs, monkeypatch):
    copies = changed(photographs, CHANGES["crop to 50 %"])
    expected = find_overlaps(photographs, copies)
    monkeypatch.setattr(overlap, "_BLOCK", 150_000)  # less than one photograph, and a part of its keypoints' products
    assert find_overlaps(photographs, copies) == expected
