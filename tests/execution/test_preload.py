"""What the server of workers has imported of ours: used while it is what the files say, and forgotten after an edit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.execution.executors import preload
from harness.store.connection import open_reader
from harness.store.queries import snapshot

STUDY = """\
study: own
task: function
target: own.py:run
metrics: {preloaded: maximize}
seeds: [0, 1]
trials: [{name: A}]
"""
OWN = """\
import os, sys
from pathlib import Path


def run(context):
    import harness.training.function as ours

    if "EDIT" in os.environ and context.seed == 0:
        file = Path(ours.__file__)
        file.write_text(file.read_text().replace('measure("run_s"', 'measure("edited_s"'))
    return {"preloaded": float("harness.execution.executors.preload" in sys.modules)}
"""


@pytest.fixture
def grid(tmp_path):
    """Return a function that runs the study by a copy of the package, and returns its attempts."""
    (tmp_path / "own.yml").write_text(STUDY)
    (tmp_path / "own.py").write_text(OWN)
    package = Path(harness.__file__).parent
    shutil.copytree(package, tmp_path / "site" / "harness", ignore=shutil.ignore_patterns("__pycache__", "*.so"))

    def run(**more):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), **more}
        command = [sys.executable, "-m", "harness", "run", "grid", "own.yml"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with open_reader(tmp_path / "results" / "harness.db") as store:
            return snapshot(store).attempts

    return run


def test_workers_find_our_code_imported_until_a_file_of_it_is_edited(grid):
    before, after = grid(EDIT="1")
    assert [*before.results.values(), *after.results.values()] == [1.0, 0.0]
    assert "run_s" in before.measures, "an attempt runs the code of when it began"
    assert "edited_s" in after.measures, "an attempt after an edit runs the old code"
    assert before.code_digest != after.code_digest


def test_a_file_that_changed_makes_a_worker_forget_all_of_ours(tmp_path, monkeypatch):
    file = tmp_path / "ours.py"
    file.write_text("x = 1\n")
    os.utime(file, (1, 1))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(preload, "_loaded", {file: preload._stamp(file)})
    preload.forget_if_edited()
    assert "harness.training.attempt" in sys.modules
    file.write_text("x = 2\n")
    os.utime(file, (1, 2))
    preload.forget_if_edited()
    assert not [name for name in sys.modules if name.partition(".")[0] == "harness"]
    assert "pytest" in sys.modules


@pytest.mark.parametrize("state", ["just edited", "gone"])
def test_what_may_change_unseen_is_never_trusted(tmp_path, monkeypatch, state):
    """A file system tells times in grains: what is edited twice within one has one time."""
    file = tmp_path / "ours.py"
    if state == "just edited":
        file.write_text("x = 1\n")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(preload, "_loaded", {file: preload._stamp(file)})
    preload.forget_if_edited()
    assert "harness.training.attempt" not in sys.modules
