"""Another package gives a compressor, a network, data and a task by entry points; studies name them like ours."""

import json

import pytest

from harness.base.errors import HarnessError
from harness.plugins.plugin import entry_points
from harness.study.study import load_study

FILES = {
    "strange_parts/__init__.py": "",
    "strange_parts/layers.py": """
from dataclasses import dataclass
from typing import ClassVar

from torch import nn


class EveryOther(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :: self.stride].contiguous()


@dataclass(frozen=True)
class Every:
    stride: int = 2
    commutes_with: ClassVar[frozenset[str]] = frozenset({"relu", "max_pool"})

    def conv_channels(self, channels):
        return channels

    def out_channels(self, channels):
        return channels // self.stride

    def layer(self, channels):
        return EveryOther(self.stride)
""",
    "strange_parts/networks.py": """
from torch import nn


def tiny(num_classes, width=8):
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.Conv2d(width, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, num_classes)
    )
""",
    "strange_parts/pictures.py": """
import numpy as np


def dots(count=40):
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = rng.integers(0, 100, (count, 8, 8)).astype(np.uint8) + (labels[:, None, None] * 100).astype(np.uint8)
    return {"train": (images[10:], labels[10:]), "test": (images[:10], labels[:10])}
""",
    "strange_parts/tasks.py": """
def halve(context, *, x, times=1):
    context.report(0, left=x)
    return {"left": x / 2**times}


halve.metrics = {"left": "minimize"}
""",
    "strange_parts-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: strange-parts\nVersion: 1.0\n",
    "strange_parts-1.0.dist-info/entry_points.txt": """\
[harness.compressors]
every = strange_parts.layers:Every
[harness.models]
tiny = strange_parts.networks:tiny
[harness.datasets]
dots = strange_parts.pictures:dots
[harness.tasks]
halve = strange_parts.tasks:halve
""",
}
HALVES = """\
study: halves
task: halve
seeds: [0]
trials:
  - name: "{arguments.x}"
    grid: {arguments.x: [8, 4]}
"""
DOTS = """\
study: dots
task: classification
dataset: {kind: dots, count: 60}
model: tiny
protocol: {kind: digits-quick, epochs: 1, batch_size: 10, normalization: data}
seeds: [0]
trials:
  - name: Baseline
  - name: every
    at: "0"
    compressor: {kind: every}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install the package in a folder of sys.path."""
    folder = tmp_path / "site"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(folder)
    entry_points.cache_clear()
    yield folder
    monkeypatch.undo()
    entry_points.cache_clear()


@pytest.fixture
def load(tmp_path, site):
    def read(text):
        (tmp_path / "study.yml").write_text(text)
        return load_study(tmp_path / "study.yml")

    return read


def test_a_task_is_a_function_whose_package_says_its_metrics(load):
    one, _ = load(HALVES).trials
    assert one.trial.is_function
    assert one.trial.config["task"].keys() == {"kind", "target", "code"}
    assert one.trial.config["task"]["target"] == "strange_parts.tasks:halve"
    assert [(metric.name, metric.better) for metric in one.trial.metrics] == [("left", "lower")]
    as_function = HALVES.replace("task: halve", "task: function\ntarget: strange_parts.tasks:halve")
    own = load(as_function.replace("seeds", "metrics: {left: minimize}\nseeds")).trials[0]
    assert own.trial.key == one.trial.key


def test_a_compressor_has_the_key_of_its_code(load, site):
    text = DOTS.replace("{kind: dots, count: 60}", "digits").replace("tiny", "mnist_cnn").replace('"0"', "conv2")
    before = [item.trial.key for item in load(text).trials]
    (options,) = load(text).trials[1].trial.config["compressors"].values()
    assert options.keys() == {"kind", "code"}
    assert options["kind"] == "strange_parts.layers:Every"
    assert load(text.replace("kind: every", "kind: 'strange_parts.layers:Every'")).trials[1].trial.key == before[1]
    file = site / "strange_parts" / "layers.py"
    file.write_text(file.read_text().replace(":: self.stride]", "self.stride - 1 :: self.stride]"))
    assert [key == old for key, old in zip([t.trial.key for t in load(text).trials], before, strict=True)] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HALVES.replace("halve\n", "halv\n"), "unknown task 'halv'; did you mean 'halve'?"),
        (
            HALVES.replace("seeds", "target: a.py:b\nseeds"),
            "the task 'halve' is a function already: leave 'target' out",
        ),
        (DOTS.replace("kind: every", "kind: evry"), "unknown compressor 'evry'; did you mean 'every'?"),
        (DOTS.replace("model: tiny", "model: tinny"), "unknown model 'tinny'; did you mean 'tiny'?"),
        (DOTS.replace("kind: dots", "kind: dost"), "unknown dataset 'dost'; did you mean 'dots'?"),
    ],
)
def test_names_that_are_nearly_right(load, text, message):
    with pytest.raises(HarnessError) as caught:
        load(text)
    assert message in str(caught.value)


def test_studies_of_them_run(new_lab, site):
    lab = new_lab(PYTHONPATH=str(site), PYTHONDONTWRITEBYTECODE="1")
    (lab.folder / "halves.yml").write_text(HALVES)
    (lab.folder / "dots.yml").write_text(DOTS)
    ended = lab.run("run", "grid", "halves.yml", "dots.yml", "--threads", 1, "--jobs", 2)
    assert ended.code == 0, ended.err
    cells = json.loads(lab.run("report", "tables", "--study", "halves.yml", "--format", "json").out)
    assert [(cell["row"], cell["column"], cell["ours"]) for cell in cells] == [("8", "left", 4.0), ("4", "left", 2.0)]
    assert lab.query("SELECT count(*) FROM result WHERE name = 'accuracy'") == [(2,)]
    costs = dict(
        lab.query("SELECT st.name, value FROM cost JOIN study_trial st USING (trial_id) WHERE cost.name = 'parameters'")
    )
    convolution = (8 * 9 + 8) + (8 * 9 * 4 + 4)
    assert costs == {"Baseline": convolution + 64 * 2 + 2, "every": convolution - 4 * 9 * 4 + 64 * 2 + 2}
