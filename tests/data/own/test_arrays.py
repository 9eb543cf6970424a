"""Arrays in a file: by the names that people give them, in the forms that can be told apart, the rest refused."""

import io
import zipfile

import numpy as np
import numpy.lib.format as npy
import pytest

from harness.data.dataset import load_dataset
from harness.data.own import memory


def some(count, shape=(8, 6), classes=3, seed=0):
    """Return images uint8 (count, *shape) and labels."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8)
    return images, np.arange(count) % classes


@pytest.fixture
def save(tmp_path):
    def _save(name="a.npz", **arrays):
        np.savez(tmp_path / name, **arrays)
        return name

    return _save


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_val", "y_val"),
        ("x_train", "y_train", "x_valid", "y_valid"),
    ],
)
def test_two_splits_by_their_usual_names(save, declare, data, names):
    (x, y), (x2, y2) = some(12), some(6, seed=1)
    found = declare("arrays", path=save(**dict(zip(names, (x, y, x2, y2[:, None]), strict=True))))
    assert (found.name, found.input_shape, found.classes, found.class_names) == (
        "a.npz", (1, 8, 6), 3, ("0", "1", "2"),
    )  # fmt: skip
    splits = load_dataset(found, data)
    have = {(image.tobytes(), label) for image, label in zip(splits["test"].images, splits["test"].labels, strict=True)}
    assert have == {(image.tobytes(), label) for image, label in zip(x2, y2, strict=True)}
    assert len(splits["train"]) == 12


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("x_train", "y_train")])
def test_one_set_of_which_a_part_is_the_test_split(save, declare, names):
    found = declare("arrays", path=save(**dict(zip(names, some(30), strict=True))), test=0.2)
    assert {name: split.images for name, split in found.splits.items()} == {"train": 24, "validation": 2, "test": 6}


def test_channels_first_and_last_are_the_same_data(save, declare, prints):
    x, y = some(30, (8, 6, 3))
    last = declare("arrays", path=save("last.npz", x=x, y=y), test=0.2)
    first = declare("arrays", path=save("first.npz", x=x.transpose(0, 3, 1, 2), y=y), test=0.2)
    assert last.input_shape == first.input_shape == (3, 8, 6)
    assert prints(last) == prints(first)


def test_the_order_in_the_file_does_not_matter(save, declare, prints):
    x, y = some(30)
    one = declare("arrays", path=save("one.npz", x=x, y=y), test=0.2)
    assert prints(one) == prints(declare("arrays", path=save("two.npz", x=x[::-1], y=y[::-1]), test=0.2))


def test_a_layout_that_cannot_be_told_is_asked_for(save, declare, refusal):
    x, y = some(30, (3, 8, 3))
    save(x=x, y=y)
    assert refusal("kind: arrays", "path: a.npz", "test: 0.2") == (
        "s.yml:8: a.npz: the train images have the shape 30×3×8×3, of which N,C,H,W and N,H,W,C both have 1 or 3 "
        "channels: say which it is, layout: nchw or layout: nhwc"
    )
    assert declare("arrays", path="a.npz", test=0.2, layout="nhwc").input_shape == (3, 3, 8)
    assert declare("arrays", path="a.npz", test=0.2, layout="nchw").input_shape == (3, 8, 3)


def test_names_of_classes_are_kept(save, declare):
    x, y = some(30)
    found = declare("arrays", path=save(x=x, y=y, class_names=np.array(["a", "b", "c"])), test=0.2)
    assert found.class_names == ("a", "b", "c")


def test_names_of_classes_may_be_bytes(save, declare):
    x, y = some(30)
    names = [name.encode() for name in ("cat", "dog", "kočka")]
    assert declare("arrays", path=save(x=x, y=y, class_names=np.array(names)), test=0.2).class_names[2] == "kočka"


def test_a_changed_file_is_read_again(save, declare):
    x, y = some(30)
    first = declare("arrays", path=save(x=x, y=y), test=0.2)
    changed = declare("arrays", path=save(x=x ^ 1, y=y, more=y), test=0.2)
    assert changed.splits["train"].fingerprint != first.splits["train"].fingerprint


X, Y = some(30)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X / 255, "y": Y}, "a.npz: the train images are float64: save them as uint8, from 0 to 255"),
        ({"x": X[0], "y": Y}, "a.npz: the train images have the shape 8×6: N,H,W or N,H,W,C or N,C,H,W is wanted"),
        ({"x": X, "y": Y / 1}, "a.npz: the train labels are float64: whole numbers from 0 are wanted"),
        ({"x": X, "y": Y - 1}, "a.npz: the train labels begin at -1: whole numbers from 0 are wanted"),
        (
            {"x": X, "y": np.eye(3, dtype=int)[Y]},
            "a.npz: the train labels have the shape 30×3: one number an image is wanted",
        ),
        ({"x": X, "y": Y[:9]}, "a.npz: the train split has 30 images and 9 labels"),
        ({"x": X}, "a.npz has 'x', but not 'y'"),
        ({"x": X, "y": Y, "images": X}, "a.npz names one split in several ways: images, x, y"),
        (
            {"pixels": X},
            (
                "a.npz has no images by a known name (x_train, y_train, x_test, y_test, or images and labels with "
                "e.g. test: 0.2), but pixels"
            ),
        ),
        ({"x": X, "y": Y * 2}, "a.npz has no training images of the class '1'"),
        ({"x": X, "y": Y, "classes": np.array(["a"])}, "a.npz: there are 1 names of classes, but labels up to 2"),
        (
            {"x": X, "y": Y, "classes": np.array([b"a", b"b", b"\xff"])},
            "a.npz: the name b'\\xff' of a class is not UTF-8",
        ),
        ({"x": np.array([object()] * 30), "y": Y}, "a.npz cannot be read as arrays (.npz): objects, not numbers"),
    ],
)
def test_arrays_that_cannot_be_told_are_refused_in_one_line(save, refusal, arrays, words):
    save(**arrays)
    assert refusal("kind: arrays", "path: a.npz", "test: 0.2") == f"s.yml:8: {words}"


def test_a_file_without_test_split_that_is_no_archive_or_not_there(save, refusal, tmp_path):
    save(x=X, y=Y)
    assert refusal("kind: arrays", "path: a.npz") == (
        "s.yml:6: a.npz has no test split: say which part of each class is it, e.g. test: 0.2"
    )
    (tmp_path / "b.npz").write_text("no arrays")
    assert refusal("kind: arrays", "path: b.npz").startswith("s.yml:8: b.npz cannot be read as arrays (.npz): ")
    np.save(tmp_path / "c.npy", X)
    assert "c.npy holds a single array" in refusal("kind: arrays", "path: c.npy")
    assert refusal("kind: arrays", "path: d.npz") == "s.yml:8: d.npz is not there"


def member(dtype, shape, data=b""):
    """Return an array file that claims a type and a shape, and holds `data`."""
    made = io.BytesIO()
    npy.write_array_header_1_0(made, {"descr": dtype, "fortran_order": False, "shape": shape})
    return made.getvalue() + data


@pytest.fixture
def archive(tmp_path):
    """Return a function that writes a.npz of images and labels, with other members in their place."""

    def write(**members):
        x, y = some(30)
        np.savez(tmp_path / "good.npz", x=x, y=y)
        with zipfile.ZipFile(tmp_path / "good.npz") as good, zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
            for name in ("x", "y"):
                packed.writestr(f"{name}.npy", members.pop(name, good.read(f"{name}.npy")))
            for name, data in members.items():
                packed.writestr(f"{name}.npy", data)

    return write


@pytest.fixture
def nothing_is_allocated(monkeypatch):
    """Let no array be read: what is refused is refused by its header."""
    monkeypatch.setattr(npy, "read_array", None)


@pytest.mark.usefixtures("nothing_is_allocated")
@pytest.mark.parametrize(
    ("name", "claim", "words"),
    [
        ("x", member("|u1", (10**6, 1000, 1000), b"few"), "'x' claims 931 GiB, of which 3 bytes are there"),
        ("y", member("<i8", (2**40,), b""), "'y' claims 8.19e+03 GiB, of which 0 bytes are there"),
        ("classes", member("<U500000000", (), b""), "'classes' claims 1.86 GiB, of which 0 bytes are there"),
        ("x", member("|u1", (2**62, 2**62), b""), "GiB, of which 0 bytes are there"),
    ],
)
def test_an_array_that_claims_more_than_the_file_holds_is_not_allocated(archive, refusal, name, claim, words):
    archive(**{name: claim})
    message = refusal("kind: arrays", "path: a.npz", "test: 0.2")
    assert message.startswith("s.yml:8: a.npz cannot be read as arrays (.npz): ")
    assert message.endswith(words)


@pytest.mark.usefixtures("nothing_is_allocated")
def test_arrays_larger_than_the_memory_are_refused_by_their_headers(save, refusal, monkeypatch):
    x, y = some(30)
    save(x=x, y=y)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 4 * (x.nbytes + y.nbytes) - 1)
    told = refusal("kind: arrays", "path: a.npz", "test: 0.2")
    assert "a.npz: its arrays take" in told
    assert "take fewer or smaller images" in told
    monkeypatch.setattr(memory, "memory_bytes", lambda: 2.0**40)
    monkeypatch.setattr(memory, "free_bytes", lambda: x.nbytes)
    assert "1,440 bytes are free: end other programs, or take" in refusal("kind: arrays", "path: a.npz", "test: 0.2")


def test_arrays_that_nobody_reads_may_be_of_any_kind(archive, declare):
    archive(more=member("|u1", (10**12,)))
    assert declare("arrays", path="a.npz", test=0.2).classes == 3


def test_a_single_array_is_not_loaded_whatever_it_claims(tmp_path, refusal):
    (tmp_path / "a.npy").write_bytes(member("|u1", (10**12,)))
    assert refusal("kind: arrays", "path: a.npy") == (
        "s.yml:8: a.npy holds a single array: save images and labels by np.savez"
    )
