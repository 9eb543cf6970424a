"""A paper is a folder: the second one of the harness, and a person's own, by `--paper`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.cli import main
from harness.report.claims.load import load_claims
from harness.report.claims.misprints import load_misprints
from harness.report.tables.table_file import find_paper, load_paper_table, paper_tables

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "cifar.jsonl"
STUDY = """study: own
task: function
target: train.py:run
metrics: {score: maximize}
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
trials:
  - {name: "{arguments.kind}", grid: {arguments.kind: [base, good]}}
"""
TABLE = """table: 1
caption: Scores.
match: by trial
expect: {task: function, seeds: [0, 1, 2, 3, 4, 5, 6, 7]}
select: mean
columns:
  - {key: score, label: Score, source: result, metric: score, unit: fraction, format: {digits: 2}, better: higher}
rows:
  - {label: base, trial: {study: own, name: base}, paper: {score: {value: 0.5, text: "0.50"}}}
  - {label: good, trial: {study: own, name: good}, paper: {score: {value: 0.75, text: "0.75"}}}
"""
CLAIMS = """families:
  - table: 1
    section: "3"
    alpha: 0.05
    correction: holm
    seeds_needed: 8
    entered: "2026-12-01"
    quantities:
      score: {source: result, name: score, dataset: function, split: returned, unit: fraction, of: the score,
              condition: {kind: returned}}
    trials: {good: {study: own, name: good}, base: {study: own, name: base}}
    claims:
      - {id: better, title: Good is better, place: "3, 1", quote: better, reading: better, quantity: score,
         trials: [good, base], direction: greater, hypothesis: superiority, scale: difference, effect: 0.1,
         reason: ours, test: sign_flip}
"""
MISPRINTS = """misprints:
  - number: 1
    kind: text against tables
    text: The text says a gain of 0.3.
    checks: [{expression: 'cell(1, "good", "score") - cell(1, "base", "score")', gives: 0.25}]
"""


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A person's folder, with the runs of its study stored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    Path("train.py").write_text("def run(context, *, kind='base'):\n    return {}\n")
    Path("own.yml").write_text(STUDY)
    store_runs("own.yml", lambda seed, kind="base": {"score": 0.5 + seed / 100 + 0.2 * (kind == "good")})
    folder = tmp_path / "paper"
    folder.mkdir()
    for name, text in {"table1.yml": TABLE, "claims.yml": CLAIMS, "misprints.yml": MISPRINTS}.items():
        (folder / name).write_text(text)
    return folder


def call(*words, code=0):
    done = CliRunner().invoke(main, ["report", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_tables_of_a_persons_folder(paper):
    text = call("tables", "--table", "1", "--paper", paper)
    assert "0.75 → 0.74" in " ".join(text.replace("*", "").split())
    assert text == call("tables", "--table", "all", "--paper", paper)
    assert "good" in call("statistics", "1", "--paper", paper)
    assert "table 2 is not entered yet; entered: 1" in call("tables", "--table", "2", "--paper", paper, code=2)


def test_findings_of_a_persons_folder(paper):
    found = json.loads(call("findings", "--paper", paper, "--format", "json"))
    (claim,) = found["claims"]
    assert (claim["id"], claim["verdict"], claim["effect"]) == ("better", "supported", pytest.approx(0.2))
    assert [entry["values"] for entry in found["misprints"]] == [[0.25]]
    (paper / "misprints.yml").unlink()
    assert json.loads(call("findings", "--paper", paper, "--format", "json"))["misprints"] == []


def test_arithmetic_is_over_the_tables_of_that_folder(paper):
    (paper / "misprints.yml").write_text(MISPRINTS.replace("0.25", "0.3"))
    assert "gives 0.25, not 0.3" in call("findings", "--paper", paper, code=2)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("tables", "--table", "1", "--paper", "pruning_filter"), "did you mean 'pruning_filters'?"),
        (("tables", "--table", "1", "--paper", "."), "no tables are there; they are called table1.yml"),
        (("tables", "--study", "own", "--paper", "paper"), "--paper goes with --table"),
        (("findings", "--study", "own", "--paper", "paper"), "--study or --paper"),
    ],
)
def test_what_is_no_paper_is_said_in_a_line(paper, words, why):
    assert why in call(*words, code=2)


def test_a_folder_without_claims_has_no_findings(paper):
    (paper / "claims.yml").unlink()
    assert "no claims.yml is there" in call("findings", "--paper", paper, code=2)


def test_the_second_paper_beside_what_is_stored(monkeypatch):
    """Its errors and ours of one network: multiply-accumulates and parameters are the printed ones, digit for digit."""
    monkeypatch.delenv("HARNESS_DB", raising=False)
    folder = find_paper("pruning_filters")
    assert paper_tables(folder) == [1]
    cells = json.loads(
        call("tables", "--table", "1", "--paper", "pruning_filters", "--from", PUBLISHED, "--format", "json")
    )
    found = {cell["column"]: cell for cell in cells if cell["row"] == "VGG-16"}
    assert found["flop"]["paper"] == pytest.approx(found["flop"]["ours"], rel=0.005)
    assert found["parameters"]["paper"] == pytest.approx(found["parameters"]["ours"], rel=0.05)
    assert abs(found["accuracy"]["ours"] - found["accuracy"]["paper"]) < 1
    assert {cell["match"] for cell in found.values()} == {"other-recipe"}


def test_the_claims_of_the_second_paper_are_about_its_own_tables():
    folder = find_paper("pruning_filters")
    (family,) = load_claims(paper=folder).families
    assert family.paper == folder
    assert {row.label for row in load_paper_table(1, folder).rows} >= {"VGG-16", "VGG-16-pruned-A"}
    assert load_misprints(paper=folder) == ()
