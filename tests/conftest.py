"""What all tests share: the studies of the repository, and hypothesis without deadlines, repeatable in CI."""

import compileall
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

from harness.base.errors import HarnessError
from harness.data.locations import data_root
from harness.study.grid import Override
from harness.study.study import Study, load_study

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
study: s
task: classification
dataset: digits
model: mnist_cnn
protocol: digits-quick
seeds: [0]
"""
ONE = """\
trials:
  - name: A
    at: conv2
    compressor: {kind: spatial, stride: 2}
"""

pytest.register_assert_rewrite("harness.testing.executors")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("harness", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("harness")


def pytest_configure(config):
    """Compile the package once: where Python may not keep bytecode, every process of a test would compile it anew."""
    if not hasattr(config, "workerinput"):  # not in pytest-xdist's workers
        compileall.compile_dir(ROOT / "harness", quiet=2)


def pytest_collection_modifyitems(items):
    """Begin with the tests that wait for processes, so that side by side none of them is left for the end."""
    items.sort(key=lambda item: "execution" not in item.path.parts)


@pytest.fixture
def study_file():
    """Return the path of a study of `ablations/` by its name; a test of one whose own data are not here is skipped."""

    def path(name):
        file = ROOT / "ablations" / f"{name}.yml"
        for folder in re.findall(r"\bpath: ([\w/-]+)", file.read_text(encoding="utf-8")):
            if not (data_root() / folder).is_dir():
                pytest.skip(f"the photographs of {folder} are not here")
        return file

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


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Study]:
    """Return a function that loads the text of a study, with `--set` values."""

    def _load(text: str, sets: Sequence[str] = (), *, folder: Path = tmp_path) -> Study:
        path = folder / "s.yml"
        path.write_text(text, encoding="utf-8")
        return load_study(path, [Override.parse(item) for item in sets])

    return _load


@pytest.fixture
def refusal(load, tmp_path: Path) -> Callable[..., str]:
    """Return a function that gives the message with which a study is refused, files named within its folder."""

    def _refusal(text: str, sets: Sequence[str] = (), *, folder: Path = tmp_path) -> str:
        with pytest.raises(HarnessError) as caught:
            load(text, sets, folder=folder)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{folder}/", "")

    return _refusal


@pytest.fixture
def head() -> str:
    """Return the first six lines of a study."""
    return HEAD


@pytest.fixture
def one() -> str:
    """Return four more lines, 7 to 10: one trial named A."""
    return ONE
