"""The datasets: what digits are made of, what is kept out for validation, and that other data are refused."""

import hashlib

import numpy as np
import pytest

from harness.base.errors import HarnessError
from harness.data import digits
from harness.data.dataset import Arrays, load_dataset, read_splits
from harness.data.locations import data_root, is_present
from harness.trial.datasets import DATASETS, validation_size

EMBEDDED = pytest.mark.parametrize(
    "name",
    [
        "digits",
        pytest.param(
            "mnist",
            marks=[
                pytest.mark.mnist,
                pytest.mark.skipif(not is_present("mnist", data_root()), reason="MNIST is not under $HARNESS_DATA"),
            ],
        ),
    ],
)


@pytest.fixture(scope="module")
def raw():
    return digits.load(data_root())


def naive():
    """Return all digits enlarged by plain loops: a list of (pixels as bytes, label)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    made = []
    for image, label in zip(bunch.images, bunch.target, strict=True):
        large = bytearray(28 * 28)
        for y in range(24):
            for x in range(24):
                large[(y + 2) * 28 + x + 2] = int(image[y // 3][x // 3]) * 255 // 16
        made.append((bytes(large), int(label)))
    return made


def as_pairs(arrays):
    return [(image.tobytes(), int(label)) for image, label in zip(arrays.images, arrays.labels, strict=True)]


def test_digits_are_what_is_documented(raw):
    made = naive()
    made.sort(key=lambda pair: hashlib.sha256(f"1,28,28 {pair[1]}\n".encode() + pair[0]).digest())
    test = []
    for label in range(10):
        members = [pair for pair in made if pair[1] == label]
        test += members[: len(members) // 5]
    assert sorted(as_pairs(raw["test"])) == sorted(test)
    assert sorted(as_pairs(raw["train"]) + as_pairs(raw["test"])) == sorted(made)
    for arrays in raw.values():
        assert (arrays.images.dtype, arrays.images.shape[1:]) == (np.uint8, (1, 28, 28))
        assert arrays.labels.dtype == np.int64


def test_digits_are_stratified(raw):
    in_test, in_train = (np.bincount(raw[split].labels, minlength=10) for split in ("test", "train"))
    np.testing.assert_array_equal(in_test, (in_test + in_train) // 5)


@EMBEDDED
def test_fingerprints_are_those_pinned(name):
    splits, measured = read_splits(DATASETS[name], data_root())
    assert measured == DATASETS[name].splits
    assert {split: len(arrays) for split, arrays in splits.items()} == {
        "train": measured["train"].images,
        "validation": measured["validation"].images,
        "rest": measured["train"].images - measured["validation"].images,
        "test": measured["test"].images,
    }


def test_validation_is_the_first_of_train_in_canonical_order():
    splits = load_dataset(DATASETS["digits"], data_root())
    train = as_pairs(splits["train"])
    kept_out = validation_size(len(train))
    assert as_pairs(splits["validation"]) == train[:kept_out]
    assert as_pairs(splits["rest"]) == train[kept_out:]
    hashes = [hashlib.sha256(f"1,28,28 {label}\n".encode() + pixels).digest() for pixels, label in train]
    assert hashes == sorted(hashes)
    assert not set(train) & set(as_pairs(splits["test"]))


def changed(raw, what):
    """Return the splits with one thing changed in one of them."""
    train, test = raw["train"], raw["test"]
    images, labels = train.images.copy(), train.labels.copy()
    if what == "pixel":
        images[17, 0, 14, 14] ^= 1
    elif what == "label":
        labels[17] = (labels[17] + 1) % 10
    elif what == "missing":
        images, labels = images[1:], labels[1:]
    elif what == "test":
        return {"train": train, "test": Arrays(test.images[::-1] ^ 1, test.labels[::-1])}
    return {"train": Arrays(images, labels), "test": test}


@pytest.mark.parametrize(
    ("what", "split", "images"),
    [("pixel", "train", 1_442), ("label", "train", 1_442), ("missing", "train", 1_441), ("test", "test", 355)],
)
def test_other_data_are_refused_in_one_line(raw, monkeypatch, tmp_path, what, split, images):
    monkeypatch.setattr(digits, "load", lambda _root: changed(raw, what))
    with pytest.raises(HarnessError) as caught:
        load_dataset(DATASETS["digits"], tmp_path)
    message = str(caught.value)
    pinned = DATASETS["digits"].splits[split]
    assert message.startswith(f"{tmp_path} does not hold 'digits' as declared: its {split} split has fingerprint ")
    assert message.endswith(f" of {images} images, expected {pinned.fingerprint} of {pinned.images}")
    assert "\n" not in message


def test_the_order_of_the_files_does_not_matter(raw, monkeypatch, tmp_path):
    order = np.random.default_rng(0).permutation(len(raw["train"]))
    shuffled = Arrays(raw["train"].images[order], raw["train"].labels[order])
    expected = load_dataset(DATASETS["digits"], tmp_path)
    monkeypatch.setattr(digits, "load", lambda _root: {"train": shuffled, "test": raw["test"]})
    found = load_dataset(DATASETS["digits"], tmp_path)
    for split in ("train", "validation", "rest", "test"):
        np.testing.assert_array_equal(found[split].images, expected[split].images)
        np.testing.assert_array_equal(found[split].labels, expected[split].labels)


def test_mnist_that_is_not_there(tmp_path):
    with pytest.raises(HarnessError) as caught:
        load_dataset(DATASETS["mnist"], tmp_path)
    assert str(caught.value) == (
        f"the dataset 'mnist' is not under {tmp_path}: 'harness data get mnist' downloads it, "
        "'harness data import mnist FOLDER' takes it from a folder, HARNESS_DATA names another place"
    )
