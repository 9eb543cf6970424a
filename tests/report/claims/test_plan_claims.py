"""`harness claims plan`: from no spread, a pilot, or one that is given; and the same in a dry run."""

import json
import zlib

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.cli import main

STUDY = """study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: [0, 1, 2, 3, 4, 5]
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good]}}
claims:
  - {id: good, a: good, b: base, metric: score, says: better, by: 1}
  - {id: alike, a: good, b: base, metric: score, says: equal, by: 1, family: f}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    (tmp_path / "train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
    (tmp_path / "own.yml").write_text(STUDY)
    return tmp_path


def call(*words):
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def values(seed, kind="base"):
    return {"score": zlib.crc32(f"{seed} {kind}".encode()) / 2**30}


def test_without_runs_it_asks_for_a_pilot_or_a_spread():
    assert "good: its spread is not known: run 3 seeds as a pilot, or give --sd" in call("claims", "plan", "own.yml")
    good, alike = json.loads(call("claims", "plan", "own.yml", "--sd", "0.8", "--format", "json"))
    assert (good["seeds"], good["smallest_p"], good["tests"]) == (6, 1 / 64, 1)
    assert good["can_show"] > 1
    assert alike["needed"] > good["needed"] >= 6
    assert good["seconds"] is None  # nothing has run


def test_a_pilot_gives_spread_and_cost():
    store_runs("own.yml", values)
    (good, _) = json.loads(call("claims", "plan", "own.yml", "--format", "json"))
    assert 0.5 < good["sd"] < good["sd_upper"] < 4
    assert good["seconds"] is not None
    dry = call("run", "grid", "own.yml", "--dry-run")
    assert "claim good: 6 seeds show a difference of" in dry


def test_seeds_that_can_never_decide_are_said(folder):
    (folder / "own.yml").write_text(STUDY.replace("3, 4, 5]", "3]"))
    assert "good: 4 seeds can never decide it (smallest p 0.062): at least 5" in call("claims", "plan", "own.yml")
