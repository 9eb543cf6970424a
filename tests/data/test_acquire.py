"""MNIST's files from a folder, packed or not and however they are spelt, into torchvision's layout."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from harness.base.errors import HarnessError
from harness.data import acquire, mnist
from harness.data.acquire import import_dataset, import_mnist
from harness.data.locations import MNIST_FILES, data_root, is_present, mnist_folder


def idx(array):
    """Return an array of bytes as an IDX file: two zeros, type 8, dimensions, sizes, values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def contents():
    rng = np.random.default_rng(0)
    made = {}
    for prefix, n in (("train", 5), ("t10k", 3)):
        made[f"{prefix}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (n, 28, 28)))
        made[f"{prefix}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, n))
    assert set(made) == set(MNIST_FILES)
    return made


LAYOUTS = {
    "plain": lambda name: name,
    "packed": lambda name: f"{name}.gz",
    "nested": lambda name: f"deep/er/{name}.gz",
    "kaggle": lambda name: f"{name}/{name.replace('-idx', '.idx')}",
    "a folder of that name": lambda name: f"{name}/{name}",
    "dotted and packed": lambda name: f"{name.replace('-idx', '.idx')}.gz",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_four_files_from_any_layout(tmp_path, contents, layout):
    source, root = tmp_path / "source", tmp_path / "root"
    for name, data in contents.items():
        path = source / LAYOUTS[layout](name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    assert not is_present("mnist", root)
    import_mnist(source, root)
    assert is_present("mnist", root)
    assert {path.name: path.read_bytes() for path in mnist_folder(root).iterdir()} == contents


def test_what_is_imported_is_read_as_images_and_labels(tmp_path, contents):
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    import_mnist(tmp_path, tmp_path / "root")
    splits = mnist.load(tmp_path / "root")
    for split, prefix, n in (("train", "train", 5), ("test", "t10k", 3)):
        images, labels = splits[split].images, splits[split].labels
        assert (images.shape, images.dtype, labels.dtype) == ((n, 1, 28, 28), np.uint8, np.int64)
        assert images.tobytes() == contents[f"{prefix}-images-idx3-ubyte"][16:]
        assert bytes(labels.tolist()) == contents[f"{prefix}-labels-idx1-ubyte"][8:]


def test_a_folder_may_be_imported_into_itself(tmp_path, contents):
    folder = mnist_folder(tmp_path)
    folder.mkdir(parents=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    import_dataset("mnist", tmp_path, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents


def test_a_missing_file_is_named_and_nothing_is_copied(tmp_path, contents):
    for name in list(contents)[:3]:
        (tmp_path / name).write_bytes(contents[name])
    with pytest.raises(HarnessError) as caught:
        import_mnist(tmp_path, tmp_path / "root")
    assert str(caught.value) == f"there is no 't10k-labels-idx1-ubyte' (or .gz) below {tmp_path}"
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("broken", [b"no gzip at all", gzip.compress(bytes(1_000))[:-12]], ids=["other", "cut off"])
def test_a_broken_archive_is_one_line_and_leaves_no_half_file(tmp_path, contents, broken):
    for name, data in contents.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    bad = tmp_path / "train-labels-idx1-ubyte.gz"
    bad.write_bytes(broken)
    with pytest.raises(HarnessError) as caught:
        import_mnist(tmp_path, tmp_path / "root")
    assert str(caught.value).startswith(f"{bad} cannot be copied to {mnist_folder(tmp_path / 'root')}: ")
    assert "\n" not in str(caught.value)
    left = {path.name for path in mnist_folder(tmp_path / "root").iterdir()}
    assert left <= set(contents) - {"train-labels-idx1-ubyte"}


def test_where_data_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    assert data_root() == tmp_path / "data"
    monkeypatch.delenv("HARNESS_DATA")
    assert data_root() == tmp_path / "cache" / "harness" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root() == tmp_path / ".cache" / "harness" / "data"


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(acquire, "_MOST_BYTES", 1000)
    for name, write in (("bomb.zip", _zipped), ("bomb.tar.gz", _tarred)):
        write(tmp_path / name, {"first": b"0" * 900, "second": b"0" * 101})
        with pytest.raises(HarnessError, match=rf"{name} cannot be unpacked: it holds more than"):
            acquire.import_dataset("mnist", tmp_path / name, tmp_path / "root")


def _zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def _tarred(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_a_packed_file_larger_than_any_of_mnist_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(acquire, "_MOST_OF_A_FILE", 3)
    folder = tmp_path / "four"
    folder.mkdir()
    for name in MNIST_FILES:
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"0000"))
    with pytest.raises(HarnessError, match="it has more than"):
        acquire.import_dataset("mnist", folder, tmp_path / "root")
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
