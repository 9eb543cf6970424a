"""`harness init` and `harness check`: a first study of a script, and whether a study can be run."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.study.study import load_study

OWN = (Path(__file__).resolve().parents[2] / "docs" / "own.md").read_text(encoding="utf-8")


def code_of(name):
    return re.search(rf"`{name}`:\n\n```python\n(.*?)```", OWN, re.DOTALL)[1]


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, list(words))


def made(call, code, name="mine.py", *more):
    Path(name).write_text(code)
    done = call("init", name, *more)
    assert done.exit_code == 0, done.output
    return Path(done.stdout.strip()).read_text(encoding="utf-8")


def test_a_function_becomes_a_study_with_its_arguments(call):
    text = made(call, code_of("train.py"))
    assert "task: function\ntarget: mine.py:run\nmetrics: {accuracy: maximize}" in text
    (item,) = load_study("mine.yml").trials
    assert item.trial.config["arguments"] == {"compressor": "…"}  # its steps are at their default
    assert "    arguments: {steps: 40}\n" in text
    assert "values in place of …" in text


def test_a_script_with_argparse_becomes_a_command(call):
    text = made(call, code_of("fit.py"))
    assert "task: command\ncommand: python mine.py --rate {arguments.rate} --seed {seed}\n" in text
    assert "metrics: {accuracy: maximize}" in text  # and not those of a step
    assert call("check", "mine.yml").stdout == "mine: 1 trial, 3 runs\n"


def test_defaults_kinds_and_switches(call):
    switch = '"--amp", action="store_true"'
    options = ('"--lr", type=float, default=0.1', '"-b", "--batch-size", default=32', '"data"', switch)
    lines = [f"p.add_argument({each})" for each in options]
    text = made(call, "\n".join(["import argparse", "p = argparse.ArgumentParser()", *lines, "print({'val/loss': 1})"]))
    assert "command: python mine.py --lr {arguments.lr} --batch-size {arguments.batch_size} {arguments.data}\n" in text
    assert 'arguments: {batch_size: 32, data: "…"}' in text
    assert "grid: {arguments.lr: [0.1]}" in text
    assert 'metrics: {"val/loss": minimize}' in text
    assert load_study("mine.yml").trials[0].name == "lr 0.1"


def test_another_function_of_the_script_by_name(call):
    text = made(
        call, "def run(context):\n    return {'a': 1}\n\n\ndef other(context, x=None):\n    return {'b': 1}\n", "f.py"
    )
    assert "target: f.py:run\nmetrics: {a: maximize}" in text
    text = made(call, Path("f.py").read_text(), "f.py", "--function", "other", "--out", "g.yml")
    assert "target: f.py:other" in text
    assert "grid: {arguments.x: [null]}" in text


@pytest.mark.parametrize("name", ["Train.py", "train.v2.py", "_x.py", "true.py", "1.py", "my train.py", "ü.py"])
def test_whatever_a_script_is_called_its_study_can_be_read(call, name):
    text = made(call, "import argparse\nargparse.ArgumentParser().add_argument('--a', default='x: #y')\n", name)
    (item,) = load_study(str(Path(name).with_suffix(".yml"))).trials
    assert item.trial.config["arguments"] == {"a": "x: #y"}
    assert "seeds: [0]  # it has no option --seed" in text


def test_defaults_that_yaml_does_not_have_are_left_to_the_person(call):
    made(call, "def run(context, *, a=b'x', b={1: 2}, c=(1,), d=1e999, e=1e-3):\n    return {'m': 1}\n")
    text = Path("mine.yml").read_text()
    assert 'arguments: {b: "…", c: "…", d: "…", e: 0.001}' in text


@pytest.mark.parametrize(
    ("code", "more", "words"),
    [
        ("def f(:\n", (), "mine.py is not Python"),
        ("print(1)\n", (), "mine.py has neither a function 'def run(context, *, …)' nor options of argparse"),
        ("p.add_argument('--a')\np.add_subparsers()\n", (), "mine.py has subcommands"),
        ("print(1)\n", ("--function", "run"), "mine.py has no function 'run'"),
        ("def run(context): return {'a': 1}\n", ("--out", "sub/mine.yml"), "a study finds its code beside it"),
        ("def run(context): return {'a': 1}\n", ("--out", "there.yml"), "there.yml is there already"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_line(call, code, more, words):
    Path("mine.py").write_text(code)
    Path("there.yml").touch()
    done = call("init", "mine.py", *more)
    assert (done.exit_code, words in done.stderr, done.stderr.count("\n")) == (2, True, 1)
    assert not Path("mine.yml").exists()


def test_a_mistake_is_found_without_running(call):
    made(call, code_of("fit.py"))
    Path("mine.yml").write_text(Path("mine.yml").read_text().replace("{seed}", "{sed}"))
    done = call("check", "mine.yml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "mine.yml:4: '{sed}' means nothing" in done.stderr
    assert not Path("results").exists()
    assert "name a study file, or ask for --schema" in call("check").stderr


def test_all_files_are_checked_and_what_is_wrong_with_each_is_said(call):
    made(call, code_of("fit.py"))
    Path("bad.yml").write_text("study: bad\n")
    done = call("check", "bad.yml", "mine.yml", "missing.yml", "seeds=[0]")
    assert (done.exit_code, done.stdout) == (2, "mine: 1 trial, 1 run\n")
    first, second = done.stderr.splitlines()
    assert first.startswith("Error: bad.yml:1: ")
    assert second == "Error: missing.yml: there is no such file"


def test_the_schema_is_that_of_a_study_file(call):
    schema = json.loads(call("check", "--schema").stdout)
    assert {"study", "trials", "command", "claims", "evaluate"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) >= {"study"}
