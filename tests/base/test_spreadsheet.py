"""Cells of CSV files that a spreadsheet would compute are texts for it; numbers stay numbers."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from harness.base.spreadsheet import csv_cell
from harness.cli import main

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "=", "- pool", "-0.5%"]
AS_THEY_ARE = [-0.5, 3, None, True, "-0.5", "+1e-3", "-inf", "−0.5", "pool = 2", "", "'=1", "–", "\\x0d=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_like_a_formula_comes_after_an_apostrophe(text):
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", AS_THEY_ARE)
def test_all_else_stays(value):
    assert csv_cell(value) is value


def test_every_csv_of_the_command_line_is_written_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.py").write_text("def run(context):\n    context.report(0, m=-1.5)\n    return {'m': -0.5}\n")
    study = {"study": "s", "task": "function", "target": "f.py:run", "metrics": {"m": "maximize"}, "seeds": [0]}
    study |= {"execution": {"threads": 1}, "trials": [{"name": "=HYPERLINK(1)"}]}
    (tmp_path / "study.yml").write_text(json.dumps(study))

    def call(*words):
        done = CliRunner().invoke(main, list(words))
        assert done.exit_code == 0, done.stderr
        return list(csv.reader(io.StringIO(done.stdout)))

    call("run", "grid", "study.yml", "--executor", "in-process")
    query = "SELECT name, -0.5 AS '=x' FROM study_trial"
    assert call("results", "query", query, "--format", "csv") == [["name", "'=x"], ["'=HYPERLINK(1)", "-0.5"]]
    assert "'=HYPERLINK(1)" in call("report", "tables", "--study", "s", "--format", "csv")[1]
    assert call("results", "curve", "s:=HYPERLINK(1):0", "--format", "csv")[1][-1] == "-1.5"
    call("results", "export", "--out", "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["trial"], row["value"]) == ("'=HYPERLINK(1)", "-0.5")
