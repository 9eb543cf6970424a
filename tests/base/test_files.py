"""Files that are there whole or not at all."""

import os

import pytest

from harness.base.files import atomic_open, atomic_write
from harness.store.connection import driver_lock


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    atomic_write(tmp_path / "new" / "a.txt", "σ\r\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "σ\r\n".encode()
    atomic_write(tmp_path / "b", b"\x00")
    atomic_write(tmp_path / "b", b"\x01")
    assert (tmp_path / "b").read_bytes() == b"\x01"


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a"
    atomic_write(path, "old")

    def write_half() -> None:
        with atomic_open(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "page.html"
    path.mkdir()
    (path / "in it").touch()
    for place in (path, tmp_path / ("n" * 250)):  # a folder lies there; the temporary name is too long
        with pytest.raises(OSError, match=r"h\.db|page|nnn") as caught:
            atomic_write(place, "x")
        assert (caught.value.filename, caught.value.filename2) == (str(place), None)


def test_a_lock_that_cannot_be_made_names_the_store(tmp_path):
    path = tmp_path / "h.db"
    (tmp_path / "h.db.lock").mkdir()
    with pytest.raises(OSError, match=r"h\.db|page|nnn") as caught, driver_lock(path):
        pass
    assert caught.value.filename == str(path)


def test_a_device_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    atomic_write(pipe, b"through")
    assert os.read(read, 100) == b"through"
    os.close(read)
    assert [(path.name, path.is_fifo()) for path in tmp_path.iterdir()] == [("pipe", True)]
