"""docs/tables.md: its three tables are made as they stand, of the published runs and of functions."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import harness
from harness.cli import main
from harness.report.tables.table import Column, TableEntry

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
POOLING, LEVELS, COMPRESSORS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
FUNCTION = (
    "def run(context, *, compressor):\n    return {'accuracy': 0.5 + len(compressor) / 100 + context.seed / 50}\n"
)


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)

    def run(*words):
        done = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_of_the_published_runs(call, tmp_path):
    (tmp_path / "pooling.yml").write_text(POOLING)
    (tmp_path / "results").symlink_to(ROOT / "results")
    show, write = re.search(r"```\n(harness .*?)```", TEXT, flags=re.DOTALL)[1].splitlines()
    shown = call(*show.split()[1:])
    assert re.search(r"^\| Baseline +\| +97\.\d% \| +12\.260M \|$", shown, flags=re.MULTILINE)
    assert re.search(r"^\| Feature pooling \(top-k\), 50% +\| +\**\d\d\.\d%\** \| +6\.135M \|$", shown, re.MULTILINE)
    assert "paper" not in shown.partition("Accuracy over seeds")[0]
    assert call(*write.split()[1:]) == "tables/pooling.tex\n"
    assert "\\toprule" in (tmp_path / "tables" / "pooling.tex").read_text()


def test_of_a_level_of_noise(call, tmp_path):
    (tmp_path / "levels.yml").write_text(LEVELS)
    (tmp_path / "results").symlink_to(ROOT / "results")
    command, shown = re.search(
        r"```console\n\$ (harness [^\n]*levels\.yml[^\n]*)\n(.*?)\n…\n```", TEXT, re.DOTALL
    ).groups()
    assert call(*command.split()[1:]).startswith(shown)
    missing = LEVELS.replace("kind: gaussian, ", "")
    (tmp_path / "levels.yml").write_text(missing)
    result = CliRunner().invoke(main, command.split()[1:])
    assert "a condition of 'denoising' says its kind: gaussian" in result.stderr


def test_of_functions(call, tmp_path):
    (tmp_path / "train.py").write_text(FUNCTION)
    (tmp_path / "compressors.yml").write_text(COMPRESSORS)
    study = {
        "study": "own",
        "task": "function",
        "target": "train.py:run",
        "metrics": {"accuracy": "maximize"},
        "seeds": [0, 1],
        "trials": [{"name": "{arguments.compressor}", "grid": {"arguments.compressor": ["spatial", "topk"]}}],
    }
    harness.run(study, executor="in-process", progress=False)
    cells = json.loads(call("report", "tables", "--file", "compressors.yml", "--format", "json"))
    found = [(cell["row"], cell["column"], cell["ours"] and round(cell["ours"], 9), cell["paper"]) for cell in cells]
    assert found == [
        ("spatial", "accuracy", 0.59, None),
        ("spatial", "time", None, None),
        ("topk", "accuracy", 0.56, None),
        ("topk", "time", None, None),
    ]
    shown = call("report", "tables", "--file", "compressors.yml")
    assert "**0.590**" in shown
    assert "Function: train.py:run." in shown
    assert "1 of 3 rows are left out, as no run of them is stored." in shown


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("{task: function, dataset: mnist}", "a function's data are its own: leave 'dataset' out"),
        ("{task: classification}", "'dataset' is missing"),
    ],
)
def test_data_go_with_every_task_but_functions(tmp_path, expect, message):
    file = tmp_path / "table.yml"
    file.write_text(COMPRESSORS.replace("{task: function}", expect))
    done = CliRunner().invoke(main, ["report", "tables", "--file", str(file)])
    assert (done.exit_code, done.stderr) == (2, f"Error: {file}:5: {message}\n")


def rows(title):
    (table,) = re.findall(rf"^\| {title} \| meaning.*\n\|---.*\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    return {word for line in table.splitlines() for word in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_every_key_is_in_its_table():
    assert rows("key of a column") == Column.model_fields.keys() - {"where"}  # of tables by trial
    assert rows("key") == TableEntry.model_fields.keys() - {"section", "device"}  # of a paper
