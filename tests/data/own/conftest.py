"""Own data in a temporary folder: small images by class, a study of them, and the one line that bad ones give."""

import numpy as np
import pytest
from PIL import Image

from harness.base.errors import HarnessError
from harness.study.study import load_study
from harness.trial.own_data import resolve_dataset

STUDY = """\
study: s
task: classification
model: mnist_cnn
protocol: {kind: digits-quick, epochs: 1, normalization: data}
seeds: [0]
"""


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Keep what is read of own data in a folder of the test."""
    root = tmp_path / "data-root"
    monkeypatch.setenv("HARNESS_DATA", str(root))
    return root


@pytest.fixture
def photos(tmp_path):
    """Return a function that writes images of noise: PATH/SPLIT/CLASS/N.SUFFIX, or PATH/CLASS/N.SUFFIX for split ''."""

    def write(splits, name="photos", classes=("cat", "dog"), size=(28, 28), suffix="png"):
        for split, count in splits.items():
            for label, of_class in enumerate(classes):
                folder = tmp_path / name / split / of_class
                folder.mkdir(parents=True)
                for number in range(count):
                    pixels = np.random.default_rng([label, number, len(split)]).integers(0, 256, (*size, 3))
                    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.{suffix}")
        return tmp_path / name

    return write


@pytest.fixture
def declare(tmp_path):
    """Return a function that resolves own data, paths leading from the test's folder."""

    def _declare(kind="folder", **options):
        return resolve_dataset({"kind": kind, **options}, [str(tmp_path)])

    return _declare


@pytest.fixture
def refusal(tmp_path):
    """Return a function that gives the one line, file and line first, with which a study of a dataset is refused."""

    def _refusal(*lines):
        file = tmp_path / "s.yml"
        file.write_text(STUDY + "dataset:\n" + "".join(f"  {line}\n" for line in lines) + "trials:\n  - name: A\n")
        with pytest.raises(HarnessError) as caught:
            load_study(file)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{tmp_path}/", "")

    return _refusal


@pytest.fixture
def prints():
    """Return a function that gives the fingerprints of a dataset by split."""
    return lambda declared: {name: split.fingerprint for name, split in declared.splits.items()}


@pytest.fixture
def head():
    """Return the first lines of a study, without its dataset."""
    return STUDY
