"""The examples of docs/data.md, from the command line: what is told of a folder, training on it, a function's data."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from harness.cli import main
from harness.trial.own_data import FORMS, resolve_dataset

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)[1]


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Write the study of the document, and beside it a folder of ten classes that are easy to tell apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yml").write_text(block("yaml"))
    rng = np.random.default_rng(0)
    for label in range(10):
        folder = tmp_path / "scans" / f"class-{label}"
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 40, (40, 30, 3), dtype=np.uint8)
            pixels[4 * label : 4 * label + 4] += 200
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "scans"


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_what_is_told_of_a_study_s_data(scans):
    told = call("data", "verify", "study.yml")
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert lines[0] == f"scans 28×28 grey: own data, folder {scans}"
    assert re.fullmatch(r"  train 160 \(\w{8}\), validation 16 \(\w{8}\), test 40 \(\w{8}\)", lines[1])
    assert lines[2] == f"  1×28×28, 10 classes: {', '.join(f'class-{label}' for label in range(10))}"
    assert re.fullmatch(r"  normalization: mean 0\.\d{4}, deviation 0\.\d{4}", lines[3])
    assert lines[4:] == ["  corrupt: 0"]


def test_corrupt_images_are_counted_from_the_command_line(scans):
    (scans / "class-3" / "7.png").write_bytes(b"no image")
    told = call("data", "verify", "study.yml")
    assert (told.exit_code, "1 image of 200 cannot be read" in told.output) == (2, True)
    study = Path("study.yml")
    study.write_text(study.read_text().replace("grey: true", "grey: true, corrupt: skip"))
    told = call("data", "verify", "study.yml")
    assert "  corrupt: 1\n  1 image is corrupt and left out, the first " in told.output
    assert "class-3/7.png (no image that Pillow knows)" in told.output


def test_a_training_on_a_folder_and_its_results(scans):
    ran = call("run", "grid", "study.yml", "--db", "h.db", "--threads", "1", "--device", "cpu", "--only", "Feature*")
    assert ran.exit_code == 0, ran.output
    listed = json.loads(call("results", "list", "--db", "h.db", "--format", "json").output)
    (run,) = listed
    assert (
        run["values"]["accuracy"] > 0.3
    )  # ten classes that are easy to tell apart: it saw the images and their labels
    assert "scans 28×28 grey" in call("results", "show", run["uid"], "--db", "h.db").output
    scans.rename(scans.with_name("moved"))
    study = Path("study.yml")
    study.write_text(study.read_text().replace("path: scans", "path: moved"))
    again = call("run", "grid", "study.yml", "--db", "h.db", "--dry-run", "--only", "Feature*")
    assert "1 runs: 1 done, 0 left" in again.output, again.output  # known by contents: nothing is left to do


def test_planning_does_not_wake_torch(scans):
    code = (
        "import sys; from harness.study.study import load_study; load_study('study.yml'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_function(tmp_path):
    (tmp_path / "shapes.py").write_text(block("python"))
    found = resolve_dataset({"kind": "shapes:make"}, [str(tmp_path)])
    assert (found.input_shape, found.splits["train"].images, found.splits["test"].images) == ((1, 28, 28), 80, 20)


def test_every_option_is_in_the_document():
    for form in FORMS.values():
        for name in form.model_fields:
            assert f"`{name}" in TEXT or f"{name}:" in TEXT, name
