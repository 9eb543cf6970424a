"""`take` and `size` of a named set: its first images in canonical order, resized; known by a name of their own."""

import numpy as np
import pytest
from PIL import Image

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.locations import data_root, is_present
from harness.data.own.images import decode, fitted
from harness.data.photographs import load_images
from harness.trial.datasets import DATASETS
from harness.trial.own_data import resolve_dataset


def take(kind, count, **options):
    return resolve_dataset({"kind": kind, "take": count, **options}, ())


def test_it_is_declared_without_the_data():
    first, whole = take("bsd500", 20), DATASETS["bsd500"]
    assert (first.name, first.part_of, [*first.splits]) == ("bsd500[:20]", "bsd500", ["test"])
    split = first.splits["test"]
    assert (split.name, split.images, split.bytes) == ("bsd500[:20]", 20, 20 * 481 * 321 * 3)
    fingerprints = {whole.splits["test"].fingerprint, split.fingerprint, take("bsd500", 21).splits["test"].fingerprint}
    assert len(fingerprints) == 3
    assert split.fingerprint == take("bsd500", 20).splits["test"].fingerprint == "1e9a07d5d27c3826c79733a3653b2d0d"


@pytest.mark.parametrize(
    ("kind", "options", "path", "words"),
    [
        ("bsd500", {"take": 501}, ("take",), "'bsd500' has 500 images, not 501"),
        ("bsd500", {"take": 0}, ("take",), "greater than or equal to 1"),
        ("bsd500", {"tak": 3}, ("tak",), "did you mean 'take'"),
        ("bsd500", {"size": 0}, ("size",), "a whole number of pixels, or [height, width]"),
        ("bsd432", {"size": 64}, ("size",), "the dataset 'bsd432' has no options"),
        ("bsd432", {"take": 3}, ("take",), "the dataset 'bsd432' has no options"),
        ("mnist", {"take": 3}, ("take",), "the dataset 'mnist' has no options"),
    ],
)
def test_what_cannot_be_taken_is_refused(kind, options, path, words):
    with pytest.raises(FieldError) as raised:
        resolve_dataset({"kind": kind, **options}, ())
    assert (raised.value.path, words in raised.value.message) == (path, True), raised.value


def test_its_images_are_the_first_of_the_whole():
    root = data_root()
    if not is_present("kodak24", root):
        pytest.skip("Kodak's photographs are not here")
    some, all_of_them = load_images(take("kodak24", 2), root)["test"], load_images(DATASETS["kodak24"], root)["test"]
    assert len(some) == 2
    assert all(np.array_equal(one, other) for one, other in zip(some, all_of_them, strict=False))


def test_resized_they_are_declared_without_the_data():
    resized = take("bsd500", 10, size=[200, 224])
    assert (resized.name, resized.part_of, resized.input_shape) == ("bsd500[:10] 224×200", "bsd500", (3, 200, 224))
    split = resized.splits["test"]
    assert (split.name, split.images, split.bytes) == ("bsd500[:10] 224×200", 10, 10 * 200 * 224 * 3)
    others = (take("bsd500", 10), take("bsd500", 10, size=[224, 200]), take("bsd500", 11, size=[200, 224]))
    assert split.fingerprint not in {other.splits["test"].fingerprint for other in others}
    whole = resolve_dataset({"kind": "bsd68", "size": 64}, ())
    assert (whole.name, whole.input_shape, whole.splits["test"].images) == ("bsd68 64×64", (1, 64, 64), 68)


@pytest.mark.parametrize("kind", ["kodak24", "bsd68"])
def test_resized_they_are_the_same_first_images(kind):
    root = data_root()
    if not is_present(kind, root):
        pytest.skip(f"the images of {kind} are not here")
    some, resized = (load_images(take(kind, 2, **size), root)["test"] for size in ({}, {"size": [40, 64]}))
    assert len(resized) == 2
    assert all(np.array_equal(fitted(one, (40, 64)), other) for one, other in zip(some, resized, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_resized_as_a_file_is(channels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 33, 50), dtype=np.uint8)
    Image.fromarray(pixels[0] if channels == 1 else pixels.transpose(1, 2, 0)).save(tmp_path / "one.png")
    for size in ((16, 16), (20, 50), (33, 50)):
        expected, _ = decode((tmp_path / "one.png").read_bytes(), size, channels == 1)
        np.testing.assert_array_equal(fitted(pixels, size), expected)


def test_data_that_are_not_there_are_named_by_their_folder(tmp_path):
    with pytest.raises(HarnessError, match=f"the dataset 'kodak24' is not under {tmp_path}"):
        load_images(take("kodak24", 2), tmp_path)
