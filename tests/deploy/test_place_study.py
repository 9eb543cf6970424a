"""`harness model sweep MODEL --study`: a study of all places of one's own network."""

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.study.study import load_study

NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.Conv2d(16, classes, 6), nn.Flatten(),
        )
"""
OF_DATA = ("--dataset", "digits", "--protocol", "{kind: digits-quick, epochs: 1}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    (folder / "placed_net.py").write_text(NET)
    return folder


@pytest.fixture
def call(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return lambda *words: CliRunner().invoke(main, ["model", "sweep", *map(str, words)])


def test_each_place_is_a_trial_beside_none(call, folder):
    done = call("placed_net.py:Net", "--study", "places.yml", *OF_DATA, "--seeds", "2")
    assert done.exit_code == 0, done.output
    assert done.stdout == "places.yml: 2 places and none, 2 seeds each: harness run grid places.yml\n"
    study = load_study(folder / "places.yml")
    assert [item.name for item in study.trials] == ["no compressor", "1, stride 2", "3, stride 2"]
    assert [item.trial.config["compressors"] for item in study.trials[:2]] == [
        {},
        {"1": {"kind": "spatial", "stride": 2}},
    ]
    assert study.trials[0].seeds == (0, 1)


def test_only_the_places_that_save_most(call, folder):
    call("placed_net.py:Net", "--study", "one.yml", *OF_DATA, "--most", "1")
    assert [item.name for item in load_study(folder / "one.yml").trials] == ["no compressor", "1, stride 2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["placed_net.py:Net"], "takes MODEL, --study FILE, --dataset and --protocol"),
        (["placed_net.py:Net", "--study", "placed_net.py", *OF_DATA], "placed_net.py is there already"),
        (["placed_net.py:Net", "--study", "b/a.yml", *OF_DATA], "write it into the current folder"),
        (["placed_net.py:Nett", "--study", "a.yml", *OF_DATA], "did you mean 'Net'?"),
        (["mnist_cnn", "--study", "a.yml", *OF_DATA], "declares its sites"),
        (["placed_net.py:Net", "--study", "a.yml", *OF_DATA, "--stride", "7"], "can go nowhere"),
        (["placed_net.py:Net", "--study", "a.yml", *OF_DATA[:2], "--protocol", "digits-quik"], "digits-quick"),
    ],
)
def test_what_cannot_be_written_says_so_in_a_line(call, folder, words, said):
    done = call(*words)
    assert done.exit_code == 2, done.output
    assert said in done.output.splitlines()[-1]
    assert not (folder / "a.yml").exists()
