"""What is made of stored runs: the file of a trained network, and the page of two trials, before and after."""

import json

import pytest
import torch
from click.testing import CliRunner

from harness import load, run
from harness.cli import main
from harness.data.dataset import load_dataset
from harness.study.study import load_study

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2)
        self.fc = nn.Linear(8 * 13 * 13, classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().flatten(1))
"""
STUDY = """
study: own
task: classification
dataset: digits
model: small_net.py:Net
protocol: {kind: digits-quick, epochs: 1}
seeds: [0]
trials:
  - {name: plain}
  - {name: pooled, at: conv, compressor: {kind: spatial, stride: 2}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Return a folder with a study of a small network that has run."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        (folder / "small_net.py").write_text(NET)
        (folder / "own.yml").write_text(STUDY)
        run("own.yml", executor="in-process", progress=False)
    return folder


@pytest.fixture
def lab(ran, monkeypatch):
    monkeypatch.chdir(ran)
    monkeypatch.setenv("XDG_CACHE_HOME", str(ran / "cache"))
    return ran


def call(*arguments):
    return CliRunner().invoke(main, ["model", *map(str, arguments)])


def test_the_network_of_a_stored_run_takes_pixels(lab):
    done = call("export", "own:pooled:0", "own.pt2", "--format", "json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["inputs"] == {"pixels": ["N", 1, 28, 28]}
    assert said["about"]["origin"] == "own: pooled, seed 0"
    declared = load_study(lab / "own.yml", []).trials[0].trial.data[0]
    test = load_dataset(declared, lab)["test"]
    logits = torch.export.load("own.pt2").module()(torch.from_numpy(test.images).float())
    accuracy = float((logits.argmax(1) == torch.from_numpy(test.labels)).double().mean())
    stored = load("results/harness.db").results()
    (wanted,) = stored[(stored.trial == "pooled") & (stored.metric == "accuracy")].value
    assert accuracy == pytest.approx(wanted, abs=1e-12)
    assert accuracy in said["about"]["results"].values()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own:poled:0", "a.pt2"], "did you mean 'pooled'?"),
        (["own:pooled", "a.pt2"], "a run is written STUDY:TRIAL:SEED"),
        (["small_net.py:Nett", "a.pt2"], "'small_net' has no 'Nett'; did you mean 'Net'?"),
        (["vgg17", "a.pt2"], "no attempt begins with 'vgg17'"),
        (["small_net.py:Net", "a.pt2", "--weights", "b.pt"], "there is no file 'b.pt'"),
        (["own:pooled:0", "a.pt2", "--weights", "b.pt"], "--weights goes with a model"),
    ],
)
def test_what_cannot_be_found_says_so_in_a_line(lab, arguments, said):
    done = call("export", *arguments)
    assert done.exit_code == 2
    assert said in done.output.splitlines()[-1]
    assert not (lab / "a.pt2").exists()


def test_a_page_of_before_and_after(lab):
    done = call("compare", "own:plain", "own:pooled", "--repetitions", "6", "--out", "page.md", "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["before"]["costs"]["parameters"], found["after"]["costs"]["parameters"]) == (13610, 6850)
    assert found["before"]["ms"] > 0
    assert found["saved"]["low"] <= found["saved"]["ms"] <= found["saved"]["high"]
    methods = found["metrics"]["digits/test accuracy"]
    page = (lab / "page.md").read_text()
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
    accuracies = [f"{methods[side]['mean']:.5g}" for side in "ab"]
    assert rows["digits/test accuracy"].startswith(f"| digits/test accuracy | {' | '.join(accuracies)} | ")
    assert "too few seeds to tell" in rows["digits/test accuracy"]
    assert rows["parameters"] == "| parameters | 13,610 | 6,850 | -49.7% |"
    assert "milliseconds per pass" in rows
    assert "Passes on 1×1×28×28 in turn" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own:plain", "own:poled"], "study 'own' has no trial 'poled'; did you mean 'pooled'?"),
        (["own:plain", "own:pooled:0"], "'own:pooled:0' is no trial, which is written STUDY:TRIAL"),
        (["owm:plain", "own:pooled"], "'owm'"),
        (["own:plain", "own:pooled", "--device", "gpu"], "--device takes auto, cpu, cuda or cuda:N, not 'gpu'"),
    ],
)
def test_what_cannot_be_compared_says_so_in_a_line(lab, arguments, said):
    done = call("compare", *arguments)
    assert done.exit_code == 2
    assert said in done.output.splitlines()[-1]
