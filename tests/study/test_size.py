"""Studies of a size that nobody means: refused in one line before they fill the memory or take all day."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base import source
from harness.base.errors import HarnessError
from harness.base.source import read_source
from harness.study import study as study_module
from harness.study.grid import count, points
from harness.study.study import load_study

OWN = """\
study: s
task: function
target: train.py:run
metrics: {x: maximize}
seeds: [0]
trials:
"""
DIGITS = "[" + ", ".join(map(str, range(10))) + "]"


def grid(*names, values=DIGITS, key="grid"):
    return f"    {key}: {{{', '.join(f'arguments.{name}: {values}' for name in names)}}}\n"


@pytest.fixture(autouse=True)
def _beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("def run(context, **arguments):\n    return {'x': 1}\n", encoding="utf-8")


@pytest.fixture
def unmade(monkeypatch):
    """See that no point is made, nor a trial resolved."""
    for name in ("points", "resolve_trial"):
        monkeypatch.setattr(study_module, name, lambda *_, **__: pytest.fail("expanded"))


def refused(text):
    Path("s.yml").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        load_study("s.yml")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.usefixtures("unmade")
@pytest.mark.parametrize("key", ["grid", "zip"])
def test_a_grid_of_millions_of_points_is_counted_and_not_made(key):
    entry = "  - name: A\n" + (grid(*"abcdefg") if key == "grid" else grid("a", values=str([0] * 10_001), key=key))
    points = "10,000,000" if key == "grid" else "10,001"
    message = f"s.yml:8: {points} points are more than the 10,000 of a study: split it into several studies"
    assert refused(OWN + entry) == message


@pytest.mark.usefixtures("unmade")
def test_entries_count_together():
    entry = "  - name: A\n" + grid(*"abcd")
    assert refused(OWN + entry + entry).startswith("s.yml:10: 20,000 points are more than the 10,000")


def test_the_count_is_that_of_the_points():
    both = ({"a": [1, 2], "b": [1, 2, 3]}, {"c": [1, 2], "d": [3, 4]})
    cases = [({}, None), ({"a": [1, 2]}, None), both, ({}, {"c": [1]})]
    assert [count(*case) for case in cases] == [len(list(points(*case))) for case in cases] == [1, 2, 12, 1]


def test_what_a_study_may_have_is_made():
    text = OWN + '  - name: "{arguments.a} {arguments.b}"\n' + grid(*"ab")
    Path("s.yml").write_text(text, encoding="utf-8")
    assert len(load_study("s.yml").trials) == 100


def test_runs_are_counted_too(monkeypatch):
    monkeypatch.setattr(study_module, "_MOST_RUNS", 25)
    text = OWN.replace("[0]", "[0, 1, 2]") + '  - name: "{arguments.a}"\n' + grid("a")
    assert refused(text) == "s.yml:7: the study has more than 25 runs: split it into several studies"


@pytest.mark.usefixtures("unmade")
@pytest.mark.parametrize(
    "entry",
    [
        f"  - name: A\n    arguments: {{a: [{'0, ' * 3_000}0]}}\n" + grid(*"bcd"),
        "  - name: A\n    grid:\n      arguments.a: [&x [" + "0, " * 999 + "0]" + ", *x" * 49 + "]\n"
        f"      arguments.b: [{', '.join(map(str, range(100)))}]\n",
    ],
)
def test_long_values_in_many_points_are_refused_before_they_are_copied(entry):
    assert "points with such long values are more than a study can hold: split it" in refused(OWN + entry)


def test_a_name_that_repeats_a_long_value():
    text = OWN + f'  - name: "{"{arguments.a}" * 1000}"\n    arguments: {{a: {"x" * 100_000}}}\n'
    assert refused(text) == "s.yml:7: the name 'xxxxxxxxxxxxxxxxxxxx…' has more than 500 characters"


def test_aliases_of_a_long_text_count_as_what_they_name():
    text = OWN + f"  - name: A\n    arguments: {{a: &x {'x' * 1_000}, b: [{'*x, ' * 2_000}*x]}}\n"
    assert refused(text) == "s.yml: the file holds more than 1,000,000 characters, counting aliases"


@pytest.mark.parametrize("path", ["/dev/zero", "pipe", "big.yml", "folder", "no\0file"])
@pytest.mark.parametrize("main", [True, False])
def test_what_is_no_file_or_too_large_is_not_read(path, main):
    os.mkfifo("pipe")
    Path("folder").mkdir()
    with Path("big.yml").open("wb") as sparse:
        sparse.truncate(10**12)
    reasons = {
        "big.yml": "is larger than 500,000 bytes, which no file of this kind needs",
        "folder": "cannot be read: Is a directory",
        "no\0file": "cannot be read: embedded null byte",
    }
    said = reasons.get(path, "is not a file but a folder, a pipe or a device")
    if main:
        with pytest.raises(HarnessError, match=re.escape(said)):
            load_study(path)
    else:
        text = f'{OWN}  - name: A\ninclude: ["{path}"]\n'.replace("\0", "\\0")
        assert refused(text) == f"s.yml:8: cannot include '{path}': {said}"


def test_a_pipe_that_a_shell_opens_is_read():
    code = "import sys; from harness.base.source import read_source as r; print(r(sys.argv[1]).data)"
    command = f"{sys.executable} -c '{code}'"
    shell = ["bash", "-c", f"{command} <(echo a: 1); echo b: 2 | {command} /dev/stdin"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert done.stdout == "{'a': 1}\n{'b': 2}\n"


@pytest.mark.parametrize("text", ["a: " + "[" * 20_000, "- " * 20_000, "a: " + "{a: " * 20_000, "? " * 20_000])
def test_deep_nesting_is_one_line(text, tmp_path):
    (tmp_path / "deep.yml").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match="things stand too deep within each other") as caught:
        read_source("deep.yml")
    assert len(str(caught.value)) < 200


def test_a_mapping_of_python_s_is_bounded_as_a_file_is(monkeypatch):
    monkeypatch.setattr("harness.study.from_mapping.LARGEST", 1_000)
    with pytest.raises(HarnessError, match=r"study: arguments\.a: it holds more than 1,000 things"):
        load_study({"study": "s", "arguments": {"a": range(10**9)}})
    assert source.LARGEST == 100_000
