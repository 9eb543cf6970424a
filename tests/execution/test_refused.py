"""What cannot be run is refused before anything runs: one line, exit code 2, and nothing made."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main

GOOD = """\
study: refused
task: classification
dataset: digits
model: mnist_cnn
protocol: digits-quick
seeds: [0]
trials:
  - name: "Pooling, {reduction}"
    at: conv2
    compressor: {kind: spatial}
    grid: {compressor.stride: [2, 4]}
"""

BAD = {
    "a misspelt key": ("protocol:", "protocl:", ["study.yml:5", "protocl", "did you mean 'protocol'"]),
    "a stride that does not divide": ("[2, 4]", "[2, 3]", ["study.yml:11", "stride 3 does not divide the 32"]),
    "an unknown site": ("at: conv2", "at: conv7", ["study.yml:9", "conv7", "did you mean 'conv2'"]),
    "a tag that would build an object": (
        "seeds: [0]",
        "seeds: !!python/object/apply:os.system ['touch made-by-a-tag']",
        ["study.yml:6"],
    ),
    "an empty grid": ("grid: {compressor.stride: [2, 4]}", "grid: {}", ["study.yml:11", "grid"]),
}


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["run", "grid", *map(str, arguments)])


def check_refused(ended, words, folder, there):
    assert (ended.exit_code, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]
    assert sorted(path.name for path in folder.iterdir()) == there


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_one_line_and_makes_nothing(call, tmp_path, fault, dry):
    before, after, words = BAD[fault]
    assert before in GOOD
    Path("study.yml").write_text(GOOD.replace(before, after))
    check_refused(call("study.yml", *dry), words, tmp_path, ["study.yml"])


def test_a_missing_file_is_one_line_and_makes_nothing(call, tmp_path):
    check_refused(call("missing.yml"), ["missing.yml"], tmp_path, [])


def test_missing_data_are_told_before_anything_is_made(call, tmp_path, monkeypatch, study_file):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "empty"))
    words = ["'mnist' is not under", "harness data get mnist", "harness data import mnist"]
    check_refused(call(study_file("mnist")), words, tmp_path, ["empty"])
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_dry_run_needs_no_data(call, tmp_path, monkeypatch, study_file):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "none"))
    ended = call(study_file("mnist"), "--dry-run")
    assert ended.exit_code == 0
    assert "7 trials, 14 runs: 0 done, 14 left, 0 held" in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--retry", "stall"], ["unknown reason 'stall'", "did you mean 'stale'"]),
        (["--only", "Poling*"], ["matches no trial"]),
        (["--set", "protocol.epoch=1"], ["epoch"]),
        (["--device", "gpu"], ["--device takes auto, cpu, cuda or cuda:N, not 'gpu'"]),
    ],
)
def test_wrong_options_are_one_line_and_make_nothing(call, tmp_path, arguments, words):
    Path("study.yml").write_text(GOOD)
    check_refused(call("study.yml", *arguments), words, tmp_path, ["study.yml"])


def test_a_database_of_somebody_else_is_left_alone(call, tmp_path):
    Path("study.yml").write_text(GOOD)
    Path("other.db").write_text("not a database, but somebody's notes")
    ended = call("study.yml", "--db", "other.db")
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)
    assert Path("other.db").read_text() == "not a database, but somebody's notes"
