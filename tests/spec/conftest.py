"""Study files in a temporary folder, and the one line that a wrong one gives."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.spec.errors import HarnessError
from harness.spec.grid import Override
from harness.spec.study import Study, load_study

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
