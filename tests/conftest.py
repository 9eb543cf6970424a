"""What all tests share: the studies of the repository, and hypothesis without deadlines, repeatable in CI."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import settings

from harness.data.locations import data_root

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("harness", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("harness")


def pytest_collection_modifyitems(items):
    """Begin with the tests that wait for processes, so that side by side none of them is left for the end."""
    items.sort(key=lambda item: "execution" not in item.path.parts)


@pytest.fixture
def study_file():
    """Return the path of a study of `ablations/` by its name; a test of one whose own data are not here is skipped."""

    def path(name):
        if name == "imagenette" and not (data_root() / name).is_dir():
            pytest.skip("the photographs of imagenette are not here")
        return ROOT / "ablations" / f"{name}.yml"

    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return the wheel of this checkout, as anybody would build it."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """Return a folder with the wheel installed, which goes before the checkout on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder
