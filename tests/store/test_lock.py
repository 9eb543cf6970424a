"""One driver a store."""

import os
import subprocess
import sys

import pytest

from harness.base.errors import HarnessError
from harness.store.connection import driver_lock

DRIVER = """
import sys, time
from pathlib import Path
from harness.store.connection import driver_lock
with driver_lock(Path(sys.argv[1])):
    print("driving", flush=True)
    time.sleep(60)
"""


def test_a_second_driver_is_told_who_drives_until_the_first_dies(path):
    first = subprocess.Popen([sys.executable, "-c", DRIVER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "driving\n"
        with (
            pytest.raises(HarnessError, match=rf"has a driver already \(process {first.pid}\)") as caught,
            driver_lock(path),
        ):
            pass
        assert "\n" not in str(caught.value)
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    with driver_lock(path):
        assert path.with_name("harness.db.lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_one_by_whatever_link_the_store_is_reached(path, tmp_path):
    path.parent.mkdir()
    path.touch()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with driver_lock(path), pytest.raises(HarnessError, match="has a driver already"), driver_lock(link):
        pass


def test_the_lock_ends_with_an_error_in_its_block(path):
    with pytest.raises(RuntimeError), driver_lock(path):
        raise RuntimeError
    with driver_lock(path):
        pass
