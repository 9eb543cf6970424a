"""Functions that give data: in a file beside the study, or an entry point of another package."""

import pytest

from harness.base.errors import HarnessError
from harness.data.dataset import load_dataset
from harness.study.study import load_study

CODE = """\
import numpy as np

def make(count=40, shade=0):
    images = np.random.default_rng(0).integers(0, 200, (count, 28, 28)).astype(np.uint8) + np.uint8(shade)
    labels = np.arange(count) % 10
    return {"train": (images[10:], labels[10:]), "test": (images[:10], labels[:10])}

def broken():
    raise OSError("no disk")

def ends():
    raise SystemExit(0)

def half():
    return {"train": make()["train"]}

def ragged():
    return {"train": ([[1], [1, 2]], [0, 1]), "test": make()["test"]}

def ragged_names():
    return {**make(), "classes": [["a"], ["b", "c"]]}

def numbered():
    return {1: make()["train"], 2: make()["test"]}

def numbered_too():
    return {**make(), 3: 4}

number = 3
"""
COUNTED = """
from pathlib import Path

def counted():
    with Path(__file__).with_name("calls").open("a") as file:
        file.write(".")
    return make()
"""


@pytest.fixture
def shapes(tmp_path):
    (tmp_path / "shapes.py").write_text(CODE)


def test_options_are_arguments_and_the_data_are_known_by_contents(shapes, declare, data):
    found = declare("shapes:make", count=50)
    assert (found.name, found.input_shape, found.classes) == ("shapes:make, count 50", (1, 28, 28), 10)
    assert len(load_dataset(found, data)["train"]) == 40
    assert declare("shapes:make", count=40).splits == declare("shapes:make").splits
    assert declare("shapes:make", shade=1).splits["train"].fingerprint != declare("shapes:make").splits["train"]


def test_edited_code_is_noticed_where_data_are_read(shapes, declare, data, tmp_path):
    found = declare("shapes:make")
    (tmp_path / "shapes.py").write_text(CODE.replace("200", "100"))
    with pytest.raises(HarnessError, match="the code of 'shapes:make' was edited since this was planned"):
        load_dataset(found, data)


def test_an_entry_point_of_another_package(shapes, declare, refusal, monkeypatch):
    own = declare("shapes:make")

    def given(group):
        return {"shapes": "shapes:make"} if group == "harness.datasets" else {}

    monkeypatch.setattr("harness.plugins.plugin.entry_points", given)
    assert (declare("shapes").name, declare("shapes").source) == ("shapes", own.source)
    assert refusal("kind: shape").endswith("unknown dataset 'shape'; did you mean 'shapes'?")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("shapes:mak", "'shapes' has no 'mak'; did you mean 'make'?"),
        ("shapes:number", "'shapes:number' is not a function, but int"),
        ("shapes:broken", "'shapes:broken' gives no data: OSError: no disk"),
        ("shapes:ragged", "'shapes:ragged' returns no arrays: setting an array element with a sequence. RAGGED"),
        ("shapes:ragged_names", "'shapes:ragged_names' returns no arrays: setting an array element RAGGED"),
        (
            "shapes:numbered",
            '\'shapes:numbered\': {"train": (images, labels), "test": (images, labels)} is wanted, it returns RAGGED',
        ),
        (
            "shapes:numbered_too",
            "'shapes:numbered_too': it returns an unknown key '3'; known: classes, layout, test, train",
        ),
        ("shapes:ends", "'shapes:ends' gives no data: SystemExit: 0"),
        (
            "shapes:half",
            '\'shapes:half\': {"train": (images, labels), "test": (images, labels)} is wanted, it returns only train',
        ),
    ],
)
def test_functions_that_give_none(shapes, refusal, kind, words):
    said, _, ragged = words.partition("RAGGED")  # where numpy's own words go on
    found = refusal(f"kind: {kind}")
    assert found.startswith(f"s.yml:7: {said}") if ragged or words.endswith("RAGGED") else found == f"s.yml:7: {words}"


def test_an_option_that_it_does_not_take(shapes, refusal):
    assert refusal("kind: shapes:make", "cuont: 3") == "s.yml:8: unknown option 'cuont'; did you mean 'count'?"


def test_a_study_calls_it_once(shapes, head, tmp_path):
    (tmp_path / "shapes.py").write_text(CODE + COUNTED)
    file = tmp_path / "s.yml"
    trials = "trials:\n  - {name: '{protocol.epochs}', grid: {protocol.epochs: [1, 2]}}\n"
    file.write_text(f"{head}dataset: shapes:counted\n{trials}")
    assert len(load_study(file).trials) == 2
    assert (tmp_path / "calls").read_text() == "."


def test_two_datasets_of_one_name_in_a_trial(shapes, head, tmp_path):
    file = tmp_path / "s.yml"
    other = "    evaluate:\n      - dataset: {kind: shapes:make, shade: 1, name: NAME}\n"
    text = f"{head}dataset: {{kind: shapes:make, name: one}}\ntrials:\n  - name: A\n{other}"
    file.write_text(text.replace("NAME", "one"))
    with pytest.raises(HarnessError, match=r"s\.yml:10: two datasets are named 'one': give one another name"):
        load_study(file)
    file.write_text(text.replace("NAME", "two"))
    assert [d.name for d in load_study(file).trials[0].trial.data] == ["one", "two"]
