"""CIFAR-10 from whatever layout: batches, class folders, an archive of either: the same data in the same order."""

import hashlib
import pickle
import shutil
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from harness.base.errors import HarnessError
from harness.data import cifar10
from harness.data.acquire import import_dataset
from harness.data.dataset import load_dataset, read_splits
from harness.data.locations import cifar10_decoded, data_root, is_present
from harness.trial import datasets
from harness.trial.datasets import CIFAR10

SIZES = {"train": 30, "test": 20}


@pytest.fixture(scope="module")
def small():
    """A small CIFAR-10: images uint8 (N, 3, 32, 32) and labels a split."""
    rng = np.random.default_rng(0)
    return {
        split: (rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8), np.arange(n) % 10) for split, n in SIZES.items()
    }


@pytest.fixture
def declared(small, monkeypatch, tmp_path):
    """The declaration of the small data in place of the real one's."""
    root = tmp_path / "measured"
    root.mkdir()
    cifar10.keep({split: cifar10.Arrays(*arrays) for split, arrays in small.items()}, root)
    _, measured = read_splits(CIFAR10, root)
    monkeypatch.setitem(datasets.DATASETS, "cifar10", replace(CIFAR10, splits=measured))
    return measured


def write_class_folders(folder, small, suffix="png"):
    for split, (images, labels) in small.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / split / cifar10.CLASSES[label] / f"{number * 7 % 30}_{number}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(path)


def write_batches(folder, small, monkeypatch):
    """Write the original layout, and let torchvision take its checksums for the right ones."""
    from harness.torchvision_compat import import_torchvision

    import_torchvision()
    from torchvision.datasets import CIFAR10 as ORIGINAL

    folder.mkdir(parents=True)
    files = {"train": [f"data_batch_{n}" for n in range(1, 6)], "test": ["test_batch"]}
    sums = {}
    for split, names in files.items():
        images, labels = small[split]
        parts = zip(np.array_split(images, len(names)), np.array_split(labels, len(names)), strict=True)
        for name, (some, theirs) in zip(names, parts, strict=True):
            batch = {"data": some.reshape(len(some), -1), "labels": theirs.tolist()}
            (folder / name).write_bytes(pickle.dumps(batch))
            sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()  # noqa: S324
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list(cifar10.CLASSES)}))
    meta = hashlib.md5((folder / "batches.meta").read_bytes()).hexdigest()  # noqa: S324
    monkeypatch.setattr(ORIGINAL, "train_list", [[name, sums[name]] for name in files["train"]])
    monkeypatch.setattr(ORIGINAL, "test_list", [[name, sums[name]] for name in files["test"]])
    monkeypatch.setattr(ORIGINAL, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta})


def read(root):
    return load_dataset(datasets.DATASETS["cifar10"], root)


def as_pairs(arrays):
    return [(image.tobytes(), int(label)) for image, label in zip(arrays.images, arrays.labels, strict=True)]


def layouts(tmp_path, small, monkeypatch):
    """Yield a source of each kind."""
    folders, batches = tmp_path / "folders" / "deep", tmp_path / "batches" / "cifar-10-batches-py"
    write_class_folders(folders, small)
    write_batches(batches, small, monkeypatch)
    yield "class folders", tmp_path / "folders"
    yield "batches", tmp_path / "batches"
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "folders")
    yield "zip of class folders", tmp_path / "zipped.zip"
    with tarfile.open(tmp_path / "original.tar.gz", "w:gz") as archive:
        archive.add(batches, "cifar-10-batches-py")
    yield "tar of batches", tmp_path / "original.tar.gz"


def test_whichever_way_it_came_it_is_the_same_data_in_the_same_order(tmp_path, small, declared, monkeypatch):
    orders = {}
    for name, source in layouts(tmp_path, small, monkeypatch):
        root = tmp_path / "roots" / name
        assert not is_present("cifar10", root)
        import_dataset("cifar10", source, root)
        assert is_present("cifar10", root)
        orders[name] = {split: as_pairs(arrays) for split, arrays in read(root).items()}
    assert len(orders) == 4
    first = orders["class folders"]
    assert {split: len(first[split]) for split in first} == {"train": 30, "validation": 3, "rest": 27, "test": 20}
    assert all(order == first for order in orders.values())
    assert sorted(first["train"]) == sorted(as_pairs(cifar10.Arrays(*small["train"])))


@pytest.mark.parametrize("layout", ["cifar10", "cifar-10-batches-py"])
def test_what_lies_in_the_data_root_is_decoded_once(tmp_path, small, declared, monkeypatch, layout):
    if layout == "cifar10":
        write_class_folders(tmp_path / layout, small)
    else:
        write_batches(tmp_path / layout, small, monkeypatch)
    before = {split: as_pairs(arrays) for split, arrays in read(tmp_path).items()}
    shutil.rmtree(tmp_path / layout)
    assert cifar10_decoded(tmp_path).is_file()
    assert {split: as_pairs(arrays) for split, arrays in read(tmp_path).items()} == before


def test_wrong_class_folders_in_the_data_root_are_not_kept_and_can_be_mended(tmp_path, small, declared):
    write_class_folders(tmp_path / "cifar10", small)
    odd = tmp_path / "cifar10" / "test" / "cat" / "odd.png"
    Image.new("RGB", (32, 32)).save(odd)
    with pytest.raises(HarnessError, match="does not hold 'cifar10' as declared"):
        read(tmp_path)
    assert not cifar10_decoded(tmp_path).exists()
    odd.unlink()
    assert len(read(tmp_path)["test"]) == 20


def test_half_a_download_is_not_taken_for_the_data(tmp_path, small, monkeypatch):
    write_batches(tmp_path / "cifar-10-batches-py", small, monkeypatch)
    assert is_present("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    assert not is_present("cifar10", tmp_path)


def test_what_macos_adds_to_an_archive_is_passed_over(tmp_path, small, declared):
    write_class_folders(tmp_path / "source" / "data", small)
    (tmp_path / "source" / "data" / "train" / "cat" / "._3_9.png").write_bytes(b"resource fork")
    shutil.copytree(tmp_path / "source" / "data", tmp_path / "source" / "__MACOSX" / "data")
    for file in (tmp_path / "source" / "__MACOSX").rglob("*.png"):
        file.write_bytes(b"resource fork")
    import_dataset("cifar10", tmp_path / "source", tmp_path / "root")
    assert len(read(tmp_path / "root")["train"]) == 30


def test_other_images_are_refused_and_nothing_is_kept(tmp_path, small):
    write_class_folders(tmp_path / "source", small)
    with pytest.raises(
        HarnessError, match=r"does not hold 'cifar10' as declared: its train .* of 30 images, expected .* of 50000"
    ):
        import_dataset("cifar10", tmp_path / "source", tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_bad_sources_are_one_line_each(tmp_path, small, declared):
    text = tmp_path / "notes.txt"
    text.write_text("no archive")
    cut = tmp_path / "cut.zip"
    write_class_folders(tmp_path / "source", small)
    shutil.make_archive(str(tmp_path / "whole"), "zip", tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "whole.zip") as whole:
        broken = bytearray((tmp_path / "whole.zip").read_bytes())
        image = next(member for member in whole.infolist() if member.filename.endswith(".png"))
        offset = image.header_offset + 30 + len(image.filename) + 60
    broken[offset : offset + 20] = bytes(20)
    cut.write_bytes(broken)
    empty = tmp_path / "empty"
    empty.mkdir()
    for source, words in ((text, "neither a folder nor an archive"), (cut, "cannot be"), (empty, "no batches")):
        with pytest.raises(HarnessError, match=words) as caught:
            import_dataset("cifar10", source, tmp_path / "root")
        assert "\n" not in str(caught.value)


def test_an_image_of_another_size_is_named(tmp_path, small, declared):
    write_class_folders(tmp_path / "source", small)
    odd = tmp_path / "source" / "test" / "cat" / "odd.png"
    Image.new("RGB", (31, 32)).save(odd)
    with pytest.raises(HarnessError, match=r"odd\.png is 31×32, expected 32×32"):
        import_dataset("cifar10", tmp_path / "source", tmp_path / "root")


def test_a_damaged_cache_says_what_to_do(tmp_path):
    cifar10_decoded(tmp_path).write_bytes(b"PK\x03\x04 no numbers")
    with pytest.raises(HarnessError, match=r"cifar10\.npz is damaged .* delete it"):
        read(tmp_path)


def test_a_root_that_cannot_be_written_is_read_all_the_same(tmp_path, small, declared, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    write_class_folders(tmp_path / "cifar10", small)
    monkeypatch.setattr(cifar10, "keep", refuse)
    assert len(read(tmp_path)["train"]) == 30
    assert not cifar10_decoded(tmp_path).exists()


@pytest.mark.skipif(not is_present("cifar10", data_root()), reason="CIFAR-10 is not under $HARNESS_DATA")
def test_the_real_data_are_as_declared():
    splits = read(data_root())
    assert {split: len(arrays) for split, arrays in splits.items()} == {
        "train": 50_000, "validation": 5_000, "rest": 45_000, "test": 10_000,
    }  # fmt: skip
    assert np.bincount(splits["train"].labels).tolist() == [5_000] * 10
    mean = splits["train"].images.mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=5e-5)
