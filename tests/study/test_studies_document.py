"""The examples of docs/studies.md load as they stand, and give what is said of them."""

import re
from pathlib import Path

import pytest

from harness.study.study import load_study
from harness.study.study_file import Entry, StudyFile
from harness.trial.compressors import COMPRESSORS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)


def file_name(block):
    """Return the name of an example's file: its first line, or that of its study."""
    first = block.splitlines()[0]
    return first.removeprefix("# ") if first.startswith("# ") else f"{first.removeprefix('study: ').split()[0]}.yml"


@pytest.fixture
def example(tmp_path):
    """Return a function that loads an example by its file's name; all of them lie in one folder."""
    for block in BLOCKS:
        (tmp_path / file_name(block)).write_text(block, encoding="utf-8")
    return lambda name: load_study(tmp_path / name)


@pytest.mark.parametrize("name", [file_name(block) for block in BLOCKS])
def test_every_example_loads(example, name):
    assert f"{example(name).name}.yml" == name


def test_the_points_that_are_left(example):
    (listed,) = re.findall(r"```text\n(spatial behind.*?)```", TEXT, flags=re.DOTALL)
    assert [item.name for item in example("depths.yml").trials] == listed.splitlines()


def test_the_same_study_at_another_precision(example):
    first, second = example("placements.yml"), example("placements-bf16.yml")
    assert [item.name for item in second.trials] == [*(item.name for item in first.trials), "one more"]
    for one, other in zip(first.trials, second.trials, strict=False):
        protocol = {**one.trial.config["protocol"], "precision": "bf16"}
        assert other.trial.config == {**one.trial.config, "protocol": protocol}
        assert other.seeds == one.seeds


def test_what_is_evaluated(example):
    first, second = (item.trial.evaluations for item in example("elsewhere.yml").trials)
    assert [(e.dataset, e.split) for e in first] == [("mnist", "test"), ("digits", "test"), ("mnist", "train")]
    assert [(e.dataset, e.split) for e in second] == [("mnist", "validation"), ("digits", "validation")]


def rows(title):
    """Return the words in backquotes in the first column of a table."""
    (table,) = re.findall(rf"^\| {title} .*\n\|---.*\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    return {word for line in table.splitlines() for word in re.findall(r"`([^`]+)`", line.split("|")[1])}


def test_every_key_and_every_compressor_is_in_its_table():
    assert rows("key") == (StudyFile.model_fields.keys() | Entry.model_fields.keys()) - {"name", "description"}
    assert rows("kind") == COMPRESSORS.keys() | {"module:Class"}
