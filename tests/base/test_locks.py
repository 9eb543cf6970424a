"""Locks on files, between processes."""

import os
import threading
from contextlib import nullcontext

import pytest

from harness.base.locks import LockHeldError, hold, holder, is_held


def test_a_lock_is_seen_while_it_is_held(tmp_path):
    path = tmp_path / "deep" / "lock"
    assert not is_held(path)
    with hold(path):
        assert is_held(path)
        assert holder(path) is not None
    assert path.exists()
    assert not is_held(path)


@pytest.mark.parametrize("held", [True, False])
def test_a_lock_of_another_user_can_still_be_seen(tmp_path, monkeypatch, held):
    path = tmp_path / "lock"
    path.touch()
    really = os.open

    def for_reading_only(name, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", name)
        return really(name, flags, *mode)

    with hold(path) if held else nullcontext():
        monkeypatch.setattr("harness.base.locks.os.open", for_reading_only)
        assert is_held(path) is held


def test_a_held_lock_is_refused_with_its_pid(tmp_path):
    path = tmp_path / "lock"
    with hold(path), pytest.raises(LockHeldError, match=f"process {os.getpid()}") as caught, hold(path):
        pass
    assert caught.value.pid == os.getpid()


def test_looking_at_a_lock_all_the_time_never_keeps_it_from_being_taken(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_held(path)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(50):
            with hold(path):
                pass
    finally:
        stop.set()
        looker.join()


def test_a_pid_that_cannot_be_read_is_none(tmp_path):
    (tmp_path / "lock").write_text("what\n")
    assert holder(tmp_path / "lock") is None
    assert holder(tmp_path / "none") is None
