"""What docs/concepts.md says of files, folders, functions and commands is so."""

import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from test_imports import MAY_IMPORT

from harness.attempt.messages import Kind, State
from harness.cli import main
from harness.report.tables.match import Match
from harness.report.tables.table import Select

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")


def _section(title):
    """Return the text below a heading."""
    return re.split(r"^## ", TEXT.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _commands():
    """Yield each command of the document as its words, with the output that is shown below it."""
    for block in re.findall(r"```console\n(.*?)```", TEXT, flags=re.DOTALL):
        for part in block.split("$ harness ")[1:]:
            command, _, output = part.partition("\n")
            yield pytest.param(shlex.split(command), output, id=command)


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("attempt", {*get_args(Kind), *get_args(State)} - {"running"}),
        ("match", set(get_args(Match))),
        ("selection", set(get_args(Select))),
    ],
)
def test_a_word_has_all_its_values(word, values):
    (meaning,) = re.findall(rf"^\| {word} \| (.*) \|$", _section("The words"), flags=re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", meaning)) == values


def test_the_folder_map_has_every_package_below_those_that_it_imports():
    packages = re.findall(r"^\| `(\w+)/` \|", _section("The folders"), flags=re.MULTILINE)
    assert sorted(packages) == sorted(MAY_IMPORT)
    for position, package in enumerate(packages):
        assert MAY_IMPORT[package] <= set(packages[:position]), package


def test_every_file_and_folder_that_it_names_exists():
    named = re.findall(r"`((?:harness|ablations|tests|reports|results/published)/[\w./-]*)`", TEXT)
    assert len(named) > 30
    inside = re.findall(r"`((?:layers|data|execution)/\w+/)`", TEXT)
    drawn = "\n".join(re.findall(r"^   │ .*", _section("The way of one number"), flags=re.MULTILINE))
    steps = re.findall(r"(?<= )[\w/]+/\w+\.(?:py|yml)", drawn)
    assert len(steps) > 15
    for path in [*named, *(f"harness/{path}" for path in (*inside, *steps))]:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("question", ["Why is this cell 0.9775?", "Where does `width: 0.25` go?"])
def test_a_question_is_answered_by_six_files_that_hold_what_is_said_of_them(question):
    steps = re.findall(r"^\d\. `([\w./-]+)`: (.*?)(?=^\S|\Z)", _section(question), flags=re.MULTILINE | re.DOTALL)
    assert 0 < len(steps) <= 6
    for path, said in steps:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", said):
            assert re.search(rf"\b{name}\b", text), f"{path} does not hold '{name}'"


@pytest.mark.parametrize(("words", "output"), list(_commands()))
def test_its_commands_give_what_it_shows(words, output, monkeypatch):
    monkeypatch.chdir(ROOT)
    ended = CliRunner().invoke(main, words)
    for shown in output.split("…\n"):
        assert shown in ended.output
    if "tables" in words:
        assert re.search(r'"values": \[\s*0.9775,\s*0.9729\s*\]', ended.output)
