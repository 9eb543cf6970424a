"""Statistics of a study: differences to its baseline below its table, rows × columns, digits, numbers as CSV."""

import csv
import io

import pytest
from click.testing import CliRunner
from own_runs import store_runs

from harness.classical import Bm3dOptions
from harness.cli import main
from harness.report.tables.pivot import setting

STUDY = """study: own
task: function
target: train.py:run
metrics: {score: {direction: maximize, unit: dB}}
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
baseline: "a 1"
trials:
  - {name: "{arguments.kind} {arguments.width}", grid: {arguments.kind: [a, b], arguments.width: [1, 2]}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    (tmp_path / "train.py").write_text("def run(context, *, kind='z', width=0):\n    return {}\n")
    (tmp_path / "own.yml").write_text(STUDY)
    store_runs("own.yml", values)
    return tmp_path


def values(seed, kind, width):
    return {"score": 30 + seed / 8 + (0.5 + seed / 16 if kind == "b" else 0) + (-1) ** seed * 0.25 * (width - 1)}


def call(*words, code=0):
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.stderr


def test_differences_to_the_baseline_with_interval_p_holm_and_n():
    text = call("report", "tables", "--study", "own.yml")
    assert "score \\[dB\\] over seeds, against a 1 (dB)." in text or "score [dB] over seeds, against a 1 (dB)." in text
    (line,) = [line for line in text.splitlines() if line.startswith("| b 1 ") and "+0.72" in line]
    assert "0–7" in line
    assert "0.0078 (0.023)" in line


def test_without_a_baseline_there_is_none(folder):
    (folder / "own.yml").write_text(STUDY.replace('baseline: "a 1"\n', ""))
    store_runs("own.yml", values)
    assert "against" not in call("report", "tables", "--study", "own.yml")


def test_csv_has_numbers_alone():
    rows = list(csv.DictReader(io.StringIO(call("report", "tables", "--study", "own", "--format", "csv"))))
    assert rows[2]["row"] == "b 1"
    assert float(rows[2]["score [dB] mean difference"]) == 0.71875
    assert float(rows[2]["score [dB] Holm p"]) == pytest.approx(3 * 2 / 2**8)
    assert (rows[0]["Runs"], rows[0]["score [dB] n"]) == ("8", "8")
    assert not any("McNemar" in name for name in rows[0])


def test_rows_by_columns_and_digits():
    text = call("report", "tables", "--study", "own", "--pivot", "arguments.kind × arguments.width", "--digits", "1")
    assert "| a   | 30.4 ± 0.3 | 30.4 ± 0.4 |" in text
    latex = call("report", "tables", "--study", "own", "--pivot", "arguments.kind x arguments.width",
                 "--format", "latex", "--bare")  # fmt: skip
    assert "Rows" not in latex
    assert r"a & 30.44 $\pm$ 0.31" in latex


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pivot", "arguments.kind"), "--pivot takes 'ROWS × COLUMNS'"),
        (("--pivot", "arguments.kind × arguments.depth"), "no trial of study 'own' sets 'arguments.depth'"),
        (("--pivot", "model.kind × arguments.width"), "no trial of study 'own' sets 'model.kind'"),
        (("--pivot", "arguments.kind × arguments.kind"), "'a 1' and 'a 2' both have arguments.kind a"),
        (("--pivot", "arguments.kind × arguments.width", "--metric", "scor"), "did you mean 'score'?"),
        (("--metric", "score"), "--metric goes with --pivot"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_a_line(words, message):
    assert message in call("report", "tables", "--study", "own", *words, code=2)


def test_statistics_of_a_study():
    text = call("report", "statistics", "own.yml")
    assert "b 1  a 1" in text
    assert "p 0.0078 (smallest attainable 0.0078)" in text


def test_a_default_that_is_left_out_of_the_key_is_shown_by_its_value():
    config = {"task": {"kind": "denoising"}, "model": {"kind": "bm3d", "wiener": 1.0}, "compressors": {}}
    assert setting(config, "model.wiener") == "1.0"
    assert setting(config, "model.threshold") == str(Bm3dOptions().threshold)
    assert setting(config, "protocol.epochs") == "default"
    assert setting(config, "compressor.stride") == "none"
