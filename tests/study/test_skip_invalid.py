"""Trials of a grid whose compressors cannot be at their sites: refused by name, or skipped by name."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.api import run
from harness.base.errors import HarnessError
from harness.cli import main
from harness.study.study import load_study
from harness.trial.models import MODELS, ModelDeclaration, Site

STUDY = """\
study: s
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, epochs: 1}
seeds: [0]
at: conv2
compressor: {kind: spatial, stride: 2}
trials:
  - name: "{compressor} {compressor.stride}"
    grid:
      compressor.kind: [spatial, width]
      compressor.stride: [2, 3]
"""
NARROW = "'width' cannot go at 'conv2': nothing before it can be narrowed alone"
DIVIDE = "stride 3 does not divide the 32 channels at 'conv2'; possible: 2, 4, 8, 16, 32"
SKIPPED = {"spatial 3": DIVIDE, "width 2": NARROW, "width 3": DIVIDE}


@pytest.fixture(autouse=True)
def _fixed(monkeypatch, tmp_path):
    """Let nothing before conv2 be narrowed alone."""
    old = MODELS["mnist_cnn"]
    fixed = ModelDeclaration(old.name, old.input_shape, 10, {"conv2": Site("conv2", 32, narrowable=False)}, old.code)
    monkeypatch.setitem(MODELS, "mnist_cnn", fixed)
    monkeypatch.chdir(tmp_path)
    Path("s.yml").write_text(STUDY, encoding="utf-8")


def call(*words):
    result = CliRunner().invoke(main, [*words])
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("[2, 3]", "[2]", 12, f"{NARROW} (trial 'width 2', which --skip-invalid skips)"),
        ("[spatial, width]", "[spatial]", 13, f"{DIVIDE} (trial 'spatial 3', which --skip-invalid skips)"),
    ],
)
def test_one_trial_is_refused_by_its_name_before_anything_runs(old, new, line, said):
    Path("s.yml").write_text(STUDY.replace(old, new), encoding="utf-8")
    result = call("run", "grid", "s.yml")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: s.yml:{line}: {said}\n")
    assert not Path("results").exists()


def test_a_dry_run_shows_what_is_skipped(monkeypatch):
    monkeypatch.setattr("harness.execution.estimate.seconds_per_image", lambda *_: 1e-3)
    result = call("run", "grid", "s.yml", "--dry-run", "--skip-invalid", "--device", "cpu")
    assert result.stderr.splitlines() == [f"skipped: s: {name}: {reason}" for name, reason in SKIPPED.items()]
    assert "\n1 trials, 1 runs: 0 done, 1 left" in result.stdout
    rows = json.loads(
        call("run", "grid", "s.yml", "--dry-run", "--skip-invalid", "--device", "cpu", "--format", "json").stdout
    )
    assert {row["trial"]: row.get("skipped") for row in rows} == {"spatial 2": None, **SKIPPED}
    assert sum(row["left"] for row in rows) == 1


@pytest.fixture
def asked(monkeypatch):
    """Return the names of the trials that a call would run, in place of running them."""
    names = []

    def run_grid(studies, *_):
        names.extend(item.name for study in studies for item in study.chosen)
        raise HarnessError("not here")

    for place in ("harness.execution.driver.run_grid", "harness.api.run_grid"):
        monkeypatch.setattr(place, run_grid)
    return names


def test_the_others_run(asked):
    result = call("run", "grid", "s.yml", "--skip-invalid", "--device", "cpu")
    assert asked == ["spatial 2"]
    assert f"skipped: s: width 2: {NARROW}" in result.stderr


def test_the_others_run_from_python(asked, capsys):
    with pytest.raises(HarnessError, match="not here"):
        run("s.yml", skip_invalid=True, device="cpu", progress=False)
    assert asked == ["spatial 2"]
    assert f"skipped: s: width 2: {NARROW}" in capsys.readouterr().err


def test_of_a_mistake_and_of_a_study_without_any_other_trial_nothing_is_skipped():
    Path("s.yml").write_text(STUDY.replace("[spatial, width]", "[spatial, wdith]"), encoding="utf-8")
    with pytest.raises(HarnessError, match="unknown compressor 'wdith'; did you mean"):
        load_study("s.yml", skip_invalid=True)
    Path("s.yml").write_text(STUDY.replace("[2, 3]", "[3]"), encoding="utf-8")
    with pytest.raises(HarnessError, match=r"s\.yml: --skip-invalid leaves no trial: 'spatial 3': stride 3 does not"):
        load_study("s.yml", skip_invalid=True)
