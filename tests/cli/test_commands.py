"""Commands as a person types them, those that need no training: output, exit codes, one line for what is wrong."""

import io
import json
import math
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import harness
from harness.cli import main
from harness.cli.app import LazyGroup
from harness.cli.common import print_json
from harness.cli.display import Bars
from harness.data.locations import PHOTOGRAPHS
from harness.execution.doctor import facts
from harness.execution.options import Options

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published" / "mnist.jsonl"

TABLE_1 = {
    "Baseline": 12_855_498,
    "Feature pooling (spatial pooling), 50%": 6_432_970,
    "Feature pooling (spatial pooling), 75%": 3_221_706,
    "Feature pooling (top-k), 50%": 6_432_970,
    "Feature pooling (top-k), 75%": 3_221_706,
    "Dimension reduction of Conv, 50%": 6_430_650,
    "Dimension reduction of Conv, 75%": 3_218_226,
}


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DB", raising=False)

    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"harness, version {harness.__version__}\n"


def _commands(command, path=()):
    """Yield every command and every group with its path."""
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        yield (*path, name), inner
        if isinstance(inner, click.Group):
            yield from _commands(inner, (*path, name))


COMMANDS = dict(_commands(main))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_documented(path):
    command = COMMANDS[path]
    assert command.help, "no help"
    _, _, examples = command.help.partition("\b\n")
    assert f"harness {' '.join(path)}" in examples, "no example in the help"
    for option in command.params:
        assert isinstance(option, click.Argument) or option.help, f"{option.name} has no help"


def test_the_short_help_of_groups_is_their_own():
    for name, (_, _, text) in LazyGroup.lazy.items():
        group = main.get_command(click.Context(main), name)
        assert group.help.startswith(text.rstrip("."))


def test_cost_counts_every_trial_of_table_1_without_data(call, study_file, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", "/nowhere")
    result = call("cost", study_file("mnist"), "--format", "json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {row["trial"]: row["parameters"] for row in rows} == TABLE_1
    assert set(rows[0]) == {"trial", "key", "parameters", "variables", "weights", "macs", "paper_flops"}
    assert all(len(row["key"]) == 32 for row in rows)


def test_what_json_does_not_have_is_a_text(capsys):
    print_json({"a": [math.nan, -math.inf, 1.5], "b": (None, True)})
    assert json.loads(capsys.readouterr().out) == {"a": ["nan", "-inf", 1.5], "b": [None, True]}


def test_a_function_has_no_network_to_count(call, tmp_path):
    (tmp_path / "f.py").write_text("def run(context):\n    return {'a': 1.0}\n")
    study = tmp_path / "f.yml"
    study.write_text(
        "study: f\ntask: function\ntarget: f.py:run\nmetrics: {a: maximize}\nseeds: [0]\ntrials:\n  - {name: A}\n"
    )
    result = call("cost", study)
    assert (result.exit_code, result.stderr) == (2, "Error: 'f: A' is a function: there is no network to count\n")


def test_a_dry_run_prints_every_trial_and_makes_nothing(call, study_file, tmp_path):
    result = call("run", "grid", study_file("mnist"), "--dry-run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in TABLE_1)
    assert "7 trials, 14 runs: 0 done, 14 left, 0 held; time left: " in result.stdout
    assert "on cpu, roughly, from steps timed just now" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith(
        "2 seeds: the smallest p that paired sign-flips can give is 0.25, after Holm over 22 claims (Table 1) 1"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_keeps_it_from_starting(call, study_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "nowhere"))
    result = call("run", "grid", study_file("denoise-classical"), "--dry-run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1].startswith("it would not start: the dataset 'bsd500' is not under ")
    assert "trials" in result.stdout
    assert "start" not in call("run", "grid", study_file("quickstart"), "--dry-run").stderr


def test_a_dry_run_as_json(call, study_file):
    rows = json.loads(call("run", "grid", study_file("quickstart"), "--dry-run", "--format", "json").stdout)
    assert [(row["done"], row["left"], row["held"], row["rough"]) for row in rows] == [(0, 1, 0, True)] * 7
    assert {(row["smallest_p"], row["smallest_p_holm"], row["tests"]) for row in rows} == {(1.0, 1.0, 6)}
    seconds = {row["trial"]: row["seconds_left"] for row in rows}
    macs = {row["trial"]: row["macs"] for row in rows}
    baseline = "Baseline"  # the one that is timed; the others are scaled by their multiply-accumulates
    for name, value in seconds.items():
        assert value == pytest.approx(seconds[baseline] * macs[name] / macs[baseline])
    assert seconds[baseline] > 0


def test_a_dry_run_says_how_many_processes_train_a_run(call, study_file, tmp_path, monkeypatch):
    monkeypatch.setattr("harness.execution.estimate.seconds_per_image", lambda *_: 1e-3)
    text = study_file("quickstart").read_text()
    (tmp_path / "two.yml").write_text(f"{text}\nexecution: {{processes: 2}}\n")
    said = call("run", "grid", "two.yml", "--dry-run", "--device", "cpu", "--threads", 5)
    assert "\nquickstart: each run is trained by 2 processes with 2 threads each\n" in said.stdout
    rows = json.loads(call("run", "grid", "two.yml", "--dry-run", "--device", "cpu", "--format", "json").stdout)
    assert {row["processes"] for row in rows} == {2}
    refused = call("run", "grid", "two.yml", "--executor", "in-process")
    assert (refused.exit_code, refused.stderr) == (
        2, "Error: the executor 'in-process' has one process, not the 2 of 'quickstart'\n",
    )  # fmt: skip


def test_a_dry_run_counts_for_each_study_its_own_seeds(call, tmp_path):
    text = "study: {name}\ntask: function\ntarget: fn.py:run\nmetrics: {{y: minimize}}\nseeds: {seeds}\n"
    (tmp_path / "fn.py").write_text("def run(context):\n    return {'y': 1.0}\n")
    for name, seeds in (("one", [0]), ("two", [0, 1, 2])):
        (tmp_path / f"{name}.yml").write_text(text.format(name=name, seeds=seeds) + "trials: [{name: A}]\n")
    rows = json.loads(call("run", "grid", "one.yml", "two.yml", "--dry-run", "--format", "json").stdout)
    assert [(row["study"], row["left"]) for row in rows] == [("one", 1), ("two", 3)]
    assert "2 trials, 3 runs: 0 done, 3 left" in call("run", "grid", "one.yml", "two.yml", "--dry-run").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "tables", "--table", "9"], "table 9 is not entered yet; entered: 1"),
        (["report", "tables", "--table", "one"], "--table takes a number or all, not 'one'"),
        (["report", "tables"], "name one of --table N"),
        (["report", "tables", "--table", "1", "--from", "none.db"], "none.db: no results database here"),
        (["results", "list"], "results/harness.db: no results database here"),
        (["model", "sites", "mnist_cn"], "unknown model 'mnist_cn'; did you mean 'mnist_cnn'?"),
        (["data", "verify", "digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
        (["data", "import", "digits", "."], "comes with the harness"),
        (["run", "grid", "missing.yml"], "missing.yml: there is no such file"),
        (["run", "grid", "STUDY", "--retry", "fialed"], "unknown reason 'fialed'; did you mean 'failed'?"),
        (["run", "grid", "STUDY", "--only", "topk"], "--only 'topk' matches no trial"),
        (["run", "grid", "STUDY", "--set", "protocol.epochs"], "--set takes PATH=VALUE"),
        (["run", "grid", "STUDY", "--set", "protocol.epoch=2"], "unknown key 'epoch'; did you mean 'epochs'?"),
        (["run", "grid", "STUDY", "protocol.epoch=2"], "--set protocol.epoch: unknown key 'epoch'; did you mean"),
        (["run", "grid", "protocol.epochs=2"], "name a study file before protocol.epochs=2"),
        (
            ["run", "grid", "STUDY", "--device", "cpu", "--set", "protocol.precision=tf32"],
            "precision 'tf32' needs a GPU",
        ),
        (["run", "grid", "STUDY", "STUDY"], "two of the files are both the study 'quickstart'"),
        (["run", "grid", "STUDY", "--device", "gpu"], "--device takes auto, cpu, cuda or cuda:N, not 'gpu'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2_and_makes_nothing(call, study_file, tmp_path, arguments, words):
    result = call(*[study_file("quickstart") if a == "STUDY" else a for a in arguments])
    assert result.exit_code == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert words in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_timing_that_cannot_be_made_makes_nothing(call, study_file, tmp_path):
    result = call("run", "timing", study_file("quickstart"), "--device", "cpu", "--set", "protocol.precision=tf32")
    assert result.exit_code == 2
    assert "precision 'tf32' needs a GPU" in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("results", "list"), ("results", "merge", PUBLISHED), ("run", "grid", "STUDY")])
def test_a_place_where_no_store_can_be_is_one_line(call, study_file, tmp_path, command):
    (tmp_path / "afile").touch()
    result = call(*[study_file("quickstart") if a == "STUDY" else a for a in command], "--db", "afile/x.db")
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "afile" in line
    assert isinstance(call("--verbose", "results", "merge", PUBLISHED, "--db", "afile/x.db").exception, OSError)


@pytest.fixture
def damaged(call, tmp_path):
    """A store of which a page of rows was overwritten."""
    call("results", "merge", PUBLISHED, "--db", "h.db")
    path = tmp_path / "h.db"
    with closing(sqlite3.connect(path)) as conn:
        (page,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'attempt'").fetchone()
        (size,) = conn.execute("PRAGMA page_size").fetchone()
    with path.open("rb+") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    return path


def test_a_damaged_store_is_one_line(call, damaged):
    result = call("results", "list", "--db", damaged)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "malformed" in line
    assert "harness results verify" in line


def test_the_doctor_finds_a_damaged_store(damaged, tmp_path):
    finding = facts(Options(db=damaged, data_root=tmp_path))[-1]
    assert (finding.what, finding.well) == ("store", False)
    assert "damaged (database disk image is malformed)" in finding.said


def test_ctrl_c_before_anything_runs_has_the_same_exit_code(call, study_file, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.execution.driver.add_studies", interrupted)  # counts costs
    monkeypatch.setattr("harness.execution.options.Options.make_executor", lambda *_: nullcontext())
    result = call("run", "grid", study_file("quickstart"))
    assert (result.exit_code, result.stderr.strip()) == (130, "interrupted")


def test_a_trial_may_be_called_anything(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with Bars() as bars:
        bars.total(2)
        for name in ("a [/b]", "b [relu]"):
            bars.started(name, resumed=False)
            bars.progress(name, {"step": 1, "metrics": {"[/x]": 1.0}})
            bars.ended(name, "failed", None, "[/c]")
        bars.started("c [relu]", resumed=False)
    assert "b [relu]: failed ([/c])" in screen.getvalue()
    assert "c [relu]" in screen.getvalue().rpartition("failed")[2]


def test_verbose_shows_the_trace(call):
    result = call("--verbose", "run", "grid", "missing.yml")
    assert result.exception is not None
    assert "missing.yml" in str(result.exception)


def test_missing_data_are_named_with_the_cure_and_nothing_is_made(call, study_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "empty"))
    result = call("run", "grid", study_file("mnist"))
    assert result.exit_code == 2
    assert "harness data get mnist" in result.stderr
    assert "harness data import mnist FOLDER" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_list_and_verify_of_what_comes_with_the_harness(call, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    listed = json.loads(call("data", "list", "--format", "json").stdout)
    assert [(d["dataset"], d["here"], d["stand_in_for"]) for d in listed["datasets"]] == [
        ("mnist", False, None),
        ("digits", True, "mnist"),
        ("cifar10", False, None),
        ("sample-photos", True, None),
        *((name, False, None) for name in PHOTOGRAPHS),
    ]
    verified = call("data", "verify").stdout
    assert "digits: as declared: train 1,442" in verified
    assert "sample-photos: as declared: train 2 (d1633af1), test 1 (da06d58b)" in verified
    assert re.search(r"^kodak24 +no +– +24 ", call("data", "list").stdout, flags=re.MULTILINE)


def test_photographs_that_are_not_here_say_where_they_belong(call, monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    for command in (("get", "bsd432"), ("import", "bsd432", str(tmp_path))):
        ended = call("data", *command)
        assert ended.exit_code != 0
        assert f"put its images into {tmp_path / 'BSDS500'} and {tmp_path / 'CBSD68'}" in ended.stderr


def test_models_and_their_sites(call):
    assert json.loads(call("model", "sites", "mnist_cnn", "--format", "json").stdout) == [
        {"path": "conv2", "channels": 32, "narrowable": True}
    ]
    models = call("model", "list").stdout
    assert "mnist_cnn" in models
    assert "3×H×W" in models  # denoisers, which take any size
    assert call("model", "sites", "dncnn").stdout == "dncnn has no sites: no compressor can be in it.\n"


def test_the_installed_command_runs():
    done = subprocess.run(
        [sys.executable, "-c", "from harness.cli import main; main()", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("harness, version ")


@pytest.mark.parametrize(
    "arguments", ["bench denoise --sigma nan", "denoise pyproject.toml --sigma nan", "run grid x.yml --timeout inf"]
)
def test_an_option_within_bounds_is_a_finite_number(arguments):
    done = CliRunner().invoke(main, arguments.split())
    name, number = arguments.split()[-2:]
    assert done.exit_code == 2
    assert done.stderr.endswith(f"Error: Invalid value for '{name}': {number} is no finite number.\n")
