"""Folders of images: known by their contents, in one order, brought to one size; what is wrong is named and counted."""

import logging
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from harness.base.checks import FieldError
from harness.base.errors import HarnessError
from harness.data.dataset import load_dataset
from harness.data.own import declare as declaring
from harness.data.own import folder, memory
from harness.trial.own_data import resolve_dataset
from harness.trial.resolve import _recipe


def test_splits_sizes_classes_and_normalization(photos, declare, data):
    photos({"train": 10, "test": 3})
    found = declare(path="photos")
    assert (found.name, found.input_shape, found.classes, found.class_names) == (
        "photos", (3, 28, 28), 2, ("cat", "dog"),
    )  # fmt: skip
    assert {s: (one.images, one.bytes) for s, one in found.splits.items()} == {
        "train": (20, 20 * 2352), "validation": (2, 2 * 2352), "test": (6, 6 * 2352),
    }  # fmt: skip
    splits = load_dataset(found, data)
    values = splits["train"].images.astype(np.float64) / 255
    mean, deviation = found.normalization
    np.testing.assert_allclose(mean, values.mean(axis=(0, 2, 3)), atol=5.1e-5)
    np.testing.assert_allclose(deviation, values.std(axis=(0, 2, 3)), atol=5.1e-5)
    assert len(splits["rest"]) == 18


def test_names_and_order_of_files_do_not_matter_but_pixels_and_classes_do(photos, declare, prints):
    first = prints(declare(path=str(photos({"train": 6, "test": 2}))))
    other = photos({"train": 6, "test": 2}, name="other")
    for number in range(6):
        (other / "train/cat" / f"{number}.png").rename(other / "train/cat" / f"z{9 - number}.png")
    Image.open(other / "train/cat/z9.png").save(other / "train/cat/z9.bmp")  # lossless: the same pixels
    (other / "train/cat/z9.png").unlink()
    assert prints(declare(path="other")) == first
    moved = photos({"train": 6, "test": 2}, name="moved")
    shutil.move(moved / "train/cat/0.png", moved / "train/dog/new.png")
    assert prints(declare(path="moved"))["train"] != first["train"]


def test_lossy_images_are_known_by_their_bytes(photos, declare, prints):
    first = photos({"train": 6, "test": 2}, suffix="jpg")
    before = prints(declare(path="photos"))
    with (first / "train/cat/0.jpg").open("ab") as file:
        file.write(b"trailing")  # decodes to the same pixels
    after = prints(declare(path="photos"))
    assert (after["train"] == before["train"], after["test"] == before["test"]) == (False, True)


@pytest.mark.parametrize("name", ["val", "validation"])
def test_val_is_the_test_split_where_there_is_no_other(photos, declare, name):
    photos({"train": 6, name: 4})
    assert declare(path="photos").splits["test"].images == 8


def test_val_is_left_out_beside_test_and_that_is_said(photos, declare, caplog):
    photos({"train": 6, "val": 4, "test": 3})
    with caplog.at_level(logging.WARNING):
        assert declare(path="photos").splits["test"].images == 6
    assert "photos: the split 'val' is left out, as there is a split 'test'" in caplog.text


@pytest.mark.parametrize("split", ["", "train"])
def test_a_part_of_each_class_is_taken_out_as_test_split(photos, declare, data, split):
    photos({split: 11})
    found = declare(path="photos", test=0.2)
    splits = load_dataset(found, data)
    assert [np.bincount(splits[name].labels).tolist() for name in ("train", "test")] == [[9, 9], [2, 2]]
    pixels = [image.tobytes() for name in ("train", "test") for image in splits[name].images]
    assert len(set(pixels)) == 22


def test_sizes_that_differ_are_refused_and_brought_to_one(photos, declare, refusal, data):
    path = photos({"train": 6, "test": 2})
    Image.new("RGB", (80, 40), (10, 20, 30)).save(path / "train/cat/wide.png")
    message = refusal("kind: folder", "path: photos")
    assert message.startswith("s.yml:")
    assert "2 sizes, from 28×28" in message
    assert "to 40×80 (photos/train/cat/wide.png), height×width: say which they are to be brought to" in message
    assert message.endswith("e.g. size: [28, 28]")
    small = declare(path="photos", size=16)
    assert (small.input_shape, small.name) == ((3, 16, 16), "photos 16×16")
    assert declare(path="photos", size=[8, 12]).input_shape == (3, 8, 12)
    pixels = load_dataset(small, data)["train"].images
    assert (pixels == np.array([10, 20, 30])[:, None, None]).all(axis=(1, 2, 3)).sum() == 1


def test_turned_as_exif_says(photos, declare, data):
    path = photos({"train": 6, "test": 2}, size=(20, 30))  # 30 wide, 20 high
    upright = Image.new("RGB", (20, 30))
    upright.paste((255, 255, 255), (0, 0, 10, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by 90°
    upright.save(path / "train/cat/turned.png", exif=exif)
    found = declare(path="photos")
    assert found.input_shape == (3, 20, 30)
    train = load_dataset(found, data)["train"].images
    (turned,) = [image for image in train if set(np.unique(image)) <= {0, 255}]
    assert turned[:, :10].min() == 255  # its left half is on top now
    assert turned[:, 10:].max() == 0


def test_grey(photos, declare):
    photos({"train": 6, "test": 2})
    found = declare(path="photos", grey=True)
    assert (found.input_shape, len(found.normalization[0]), found.name) == ((1, 28, 28), 1, "photos grey")


def test_corrupt_images_are_named_and_counted_or_skipped(photos, declare, refusal, caplog, data, prints):
    path = photos({"train": 7, "test": 2})
    (path / "train/dog/1.png").write_bytes((path / "train/dog/1.png").read_bytes()[:400])
    (path / "train/dog/2.png").write_text("no image")
    message = refusal("kind: folder", "path: photos")
    assert message.startswith("s.yml:")
    assert "2 images of 18 cannot be read, the first photos/train/dog/1.png (" in message
    assert message.endswith("fix or remove them, or say 'corrupt: skip'")
    with caplog.at_level(logging.WARNING):
        found = declare(path="photos", corrupt="skip")
    assert "photos: 2 images are corrupt and left out, the first" in caplog.text
    assert found.splits["train"].images == len(load_dataset(found, data)["train"]) == 12
    (path / "train/dog/1.png").unlink()
    (path / "train/dog/2.png").unlink()
    assert prints(declare(path="photos")) == prints(found)


def test_what_was_read_is_kept_until_a_file_changes(photos, declare, data, monkeypatch):
    path = photos({"train": 6, "test": 2})
    first = declare(path="photos")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "decode_files", None)  # nothing is decoded again
        assert declare(path="photos") == first
        load_dataset(first, data)
    Image.new("RGB", (28, 28)).save(path / "test/cat/0.png")
    again = declare(path="photos")
    assert again.splits["train"] == first.splits["train"]
    assert again.splits["test"] != first.splits["test"]
    with pytest.raises(HarnessError, match=r"its test split has .* they have changed since this was planned"):
        load_dataset(first, data)
    shutil.rmtree(data)
    assert declare(path="photos") == again


def test_a_damaged_cache_is_made_anew(photos, declare, data):
    photos({"train": 6, "test": 2})
    first = declare(path="photos")
    for file in (data / "own").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    assert declare(path="photos") == first
    for file in (data / "own").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:50])
    assert len(load_dataset(first, data)["train"]) == 12


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_root_that_cannot_be_written_is_no_obstacle(photos, declare, data):
    photos({"train": 6, "test": 2})
    data.mkdir()
    data.chmod(0o500)
    assert declare(path="photos").classes == 2


def test_more_than_memory_has_is_refused_before_anything_is_read(photos, declare, monkeypatch):
    photos({"train": 6, "test": 2})
    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * 16 * 28 * 28 * 3 - 1)
    monkeypatch.setattr(folder, "memory_bytes", lambda: 4 * 16 * 28 * 28 * 3 - 1)
    monkeypatch.setattr(folder, "decode_files", None)
    with pytest.raises(FieldError, match=r"16 images of 28×28 take .* take a smaller size, e\.g\. size: 24") as caught:
        declare(path="photos")
    assert caught.value.path == ("size",)


def test_verified_data_are_read_anew(photos, declare, data, monkeypatch):
    photos({"train": 6, "test": 2})
    found = declare(path="photos")
    monkeypatch.setattr(declaring, "kept_facts", None)
    assert declaring.read_facts(found.source, data)["splits"]["test"]["images"] == 4


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        (["path: nowhere"], 8, "nowhere is not there"),
        (["path: photos", "size: 0"], 9, "'size' must be a whole number of pixels, or [height, width], not 0"),
        (["path: photos", "test: 1.5"], 9, "'test' must be less than 1, not 1.5"),
        (["path: photos", "test: 0.2"], 9, "photos has a split 'test', which is the test split: leave 'test' out"),
        (["path: photos", "gray: true"], 9, "unknown key 'gray'; did you mean 'grey'?"),
        (["path: photos", "corrupt: ignore"], 9, "'corrupt' must be 'refuse' or 'skip', not 'ignore'"),
        (["path: photos", "name: mnist"], 9, "'mnist' is the name of another dataset: give yours another"),
        (
            ["path: photos/train"],
            6,
            "photos/train has no split 'train': say which part of each class is the test split, e.g. test: 0.2",
        ),
        (["path: s.yml"], 8, "s.yml is not a folder: arrays in a file are 'kind: arrays'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(photos, refusal, lines, line, words):
    photos({"train": 6, "test": 2})
    assert refusal("kind: folder", *lines) == f"s.yml:{line}: {words}"


def test_classes_that_differ_between_splits(photos, refusal):
    path = photos({"train": 6, "test": 2})
    (path / "test/dog").rename(path / "test/dogs")
    assert refusal("kind: folder", "path: photos") == (
        "s.yml:8: the class 'dogs' of photos/test is not in photos/train; did you mean 'dog'?"
    )
    shutil.rmtree(path / "test/dogs")
    assert refusal("kind: folder", "path: photos").startswith("s.yml:8: the class 'dog' of photos/train is not in")


@pytest.mark.parametrize(
    ("splits", "classes", "words"),
    [
        ({"train": 12, "test": 2}, ("cat",), "photos has images of one class only: at least two are needed"),
        ({"train": 4, "test": 2}, ("cat", "dog"), "photos has 8 training images: at least 10 are needed"),
    ],
)
def test_too_little_to_train_on(photos, refusal, splits, classes, words):
    photos(splits, classes=classes)
    assert refusal("kind: folder", "path: photos") == f"s.yml:8: {words}"


def test_a_network_that_does_not_take_them(photos, refusal):
    photos({"train": 6, "test": 2})
    assert "takes 1×28×28 images of 10 classes, 'photos' has 3×28×28 of 2" in refusal("kind: folder", "path: photos")


def test_normalization_of_other_channels_says_what_to_write(photos, tmp_path):
    photos({"train": 6, "test": 2}, classes=tuple("abcdefghij"))
    with pytest.raises(
        FieldError, match=r"one per channel: write 'normalization: data' for that of 'photos'"
    ) as caught:
        _recipe("digits-quick", resolve_dataset({"kind": "folder", "path": "photos"}, [str(tmp_path)]))
    assert caught.value.path == ("protocol", "normalization", "mean")
