"""The pytest plug-in: a claim that regresses fails a build, one that is undecided is skipped with the reason."""

import subprocess
import sys

import pytest
from own_runs import store_runs

STUDY = """study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: [0, 1, 2, 3, 4, 5, 6]
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good]}}
claims:
  - {id: holds, a: good, b: base, metric: score, says: better, by: 1}
  - {id: fails, a: good, b: base, metric: score, says: worse, by: 1, family: other}
  - {id: open, a: good, b: base, metric: score, says: equal, by: 2.2, family: third}
"""
TESTS = """
import pytest

@pytest.mark.claim("own:holds")
def test_it_helps(claim):
    assert claim.effect == 2

@pytest.mark.claim("own:fails")
def test_it_hurts():
    pass

@pytest.mark.claim("own:hold")
def test_misspelt():
    pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("claims")
    (path / "train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
    (path / "own.yml").write_text(STUDY)
    (path / "test_own.py").write_text(TESTS)
    (path / "results").mkdir()
    gains = [0, 0, 2, 2, 2, 4, 4]
    store_runs(
        path / "own.yml",
        lambda seed, kind="base": {"score": gains[seed] if kind == "good" else 0},
        db=path / "results" / "harness.db",
    )
    return path


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "-q", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_marks_and_a_file_of_claims(folder):
    plugin = () if "harness.pytest_plugin" in _entry_points() else ("-p", "harness.pytest_plugin")
    code, said = run(folder, *plugin, "--harness-claims", "own.yml")
    assert code == 1
    assert "3 failed, 2 passed, 1 skipped" in said
    assert "contradicted: good is worse than base in score, by at least 1 (fails)" in said
    assert "no claim 'own:hold' is stored; did you mean 'own:holds'?" in said
    assert "undecided: good equals base in score, within 2.2 (open)" in said
    code, said = run(folder, *plugin, "--harness-claims", "own.yml", "--harness-strict", "-k", "open")
    assert (code, "1 failed" in said) == (1, True)


def _entry_points():
    from importlib.metadata import entry_points

    return {point.value for point in entry_points(group="pytest11")}
