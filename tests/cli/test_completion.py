"""What a shell completes beside commands and options: study files, studies, trials and runs; how bash writes them."""

import shutil
import subprocess
from contextlib import chdir

import pytest
from click.testing import CliRunner

from harness.cli import completion, main

STUDY = """\
study: mine
task: function
target: f.py:run
metrics: {m: maximize}
seeds: [0, 1]
execution: {threads: 1}
trials:
  - {name: "a (b), 50%"}
  - {name: other, arguments: {x: 1}}
"""
RUNS = [f"mine:{trial}:{seed}" for trial in ("a (b), 50%", "other") for seed in (0, 1)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a study of two trials, and the store of its runs."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "f.py").write_text("def run(context, *, x=0):\n    return {'m': x}\n")
    (folder / "mine.yml").write_text(STUDY)
    (folder / "another.yaml").write_text("# of mkdocs\nsite_name: a study:\n")
    with chdir(folder):
        done = CliRunner().invoke(main, ["run", "grid", "mine.yml", "--executor", "in-process"])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def complete(made, monkeypatch):
    """Return what bash is offered for the last of some words."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("HARNESS_DB", raising=False)

    def offered(words):
        number = len(words.split()) - (not words.endswith(" "))
        environment = {"_HARNESS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        lines = CliRunner().invoke(main, prog_name="harness", env=environment).stdout.splitlines()
        return [line.removeprefix("plain,") for line in lines if line]

    return offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("harness run grid ", ["mine.yml", "results/"]),
        ("harness check m", ["mine.yml"]),
        ("harness run grid mine.yml --only ", ["a (b), 50%", "other"]),
        ("harness run grid missing.yml --only o", ["other"]),  # of the store
        ("harness results show mine:o", RUNS[2:]),
        ("harness results curve other", []),
        ("harness report compare mine:o", ["mine:other"]),
        ("harness report compare mine:other:", RUNS[2:]),
        ("harness results list --study ", ["mine"]),
        ("harness report tables --study m", ["mine", "mine.yml"]),
        ("harness results show --db none.db ", []),
        ("harness results show --db f.py ", []),
    ],
)
def test_names_are_completed(complete, words, offered):
    assert complete(words) == offered


def test_of_many_runs_the_next_part_of_the_name_is_offered(complete, monkeypatch):
    monkeypatch.setattr(completion, "_MOST", 1)
    assert complete("harness results show ") == ["mine:"]
    assert complete("harness results show mine:") == ["mine:a (b), 50%:", "mine:other:"]
    assert complete("harness results show mine:other:1") == ["mine:other:1"]


def test_bash_writes_a_name_as_one_word(made):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    calls = "harness_names() { printf 'plain,%s\\n' 'mine:a (b), 50%:0' mine: plain; }\n"
    tried = 'COMP_WORDS=(harness_names "$1"); COMP_CWORD=1; _harness_completion harness_names 2>/dev/null\n'
    script = script.replace("$(env COMP_WORDS", "$(: COMP_WORDS").replace("=bash_complete $1)", "; $1)")
    command = [bash, "--norc", "-c", f"{script}{calls}{tried}printf '%s\\n' \"${{COMPREPLY[@]}}\"", "bash"]
    for typed, first in (("mine", "mine:a\\ \\(b\\)\\,\\ 50%:0"), ("'mine", "mine:a (b), 50%:0")):
        done = subprocess.run([*command, typed], capture_output=True, text=True, check=True, cwd=made)
        assert done.stdout.splitlines() == [first, "mine:", "plain"]
