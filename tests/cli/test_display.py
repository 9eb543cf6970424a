"""Progress: on 80 columns bars, counts and time left stay, names give way; counts agree with the summary."""

import io
import re
import sys
from itertools import count
from types import SimpleNamespace

import pytest

from harness.attempt.messages import PROGRESS_FILE, read_progress
from harness.cli.display import Bars, cut_names
from harness.execution.lines import Lines, progress_words, said
from harness.training.command import _Said
from harness.training.progress_file import FunctionProgressFile

LONG = "a-study-of-mine: Feature pooling (spatial pooling) before every block, 50%, seed {}"
NETWORK = {"epoch": 2, "epochs": 20, "step": 250, "steps": 2000, "loss": 0.25, "metric": 0.5, "metric_name": "accuracy"}
FUNCTION = {"step": 4, "steps": 20, "metrics": {"accuracy": 0.75, "loss": 0.5}}


@pytest.fixture
def bars(monkeypatch):
    """Bars of a terminal with 80 columns, of whose clock each look at them takes a second."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr("harness.cli.display.time", SimpleNamespace(monotonic=count().__next__))
    return Bars()


def shown(bars):
    with bars._console.capture() as captured:
        bars._console.print(bars._table())
    return [line.rstrip() for line in captured.get().splitlines()]


def test_on_80_columns_the_name_gives_way(bars):
    bars.total(4)
    for seed, state in enumerate([{**NETWORK, "images_per_s": 12345.0}, FUNCTION]):
        bars.started(LONG.format(seed), resumed=False)
        bars.progress(LONG.format(seed), {**state, "step": 0})
        bars.progress(LONG.format(seed), state)
    every, network, function = shown(bars)
    assert max(map(len, (every, network, function))) <= 77
    assert re.match(r"all +[━╸╺]+ +0/4 +\d+ \w+ left$", every)
    assert re.match(r"Feature .*….*, 50%, seed 0 .* epoch 3/20 +\d+ \w+ left +accuracy 0.5000", network)
    assert re.match(r"Feature .*….*, 50%, seed 1 .* 5/20 steps +\d+ \w+ left +accuracy 0.75", function)


def test_on_more_columns_there_is_more(bars, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    wide = Bars()
    wide.started(LONG.format(0), resumed=True)
    assert "resumes" in shown(wide)[1]
    wide.progress(LONG.format(0), {**NETWORK, "images_per_s": 12345.0})
    (line,) = shown(wide)[1:]
    assert line.startswith(LONG.format(0))
    assert line.endswith("accuracy 0.5000, loss 0.2500, 12,345 images/s")


@pytest.mark.parametrize("width", range(1, 60))
def test_names_fit_and_differ_as_long_as_they_can(width):
    names = [LONG.format(seed) for seed in (0, 1)]
    cut = cut_names(names, width)
    assert max(map(len, cut)) <= width
    assert width < 3 or len(set(cut)) == 2
    assert cut_names(["all", *names], width)[0] == "all"[:width] or width < 3


def test_all_ends_are_counted_and_what_is_still_to_be_made_is_not(bars, monkeypatch):
    lines = []
    for display in (bars, Lines(lines.append)):
        display.total(5)
        for number, state in enumerate(["done", "failed", "pruned", "interrupted", "skipped"]):
            display.started(f"s: t{number}, seed 0", resumed=False)
            display.ended(f"s: t{number}, seed 0", state, None, None)
    (line,) = shown(bars)
    assert " 3/5 " in line
    assert line.endswith("1 done, 1 failed, 1 interrupted, 1 pruned, 1 skipped")
    assert lines[-3:] == ["[3/5] s: t3, seed 0: interrupted", "s: t4, seed 0: begins", "[3/5] s: t4, seed 0: skipped"]


def test_a_function_shows_its_declared_metric_first_and_its_total(tmp_path):
    file = FunctionProgressFile(tmp_path, {"accuracy": "maximize"})
    file._path = tmp_path / PROGRESS_FILE
    file.steps = 20
    for step, metrics in enumerate([{"accuracy": 0.5}, {"loss": 0.25}]):
        file._written = -1.0  # as half a second later
        file.write(step, metrics)
    assert progress_words(read_progress(tmp_path)) == "2/20 steps, accuracy 0.5, loss 0.25"
    assert said({"step": 30, "steps": 20, "metrics": {}}).done == 1.0
    assert progress_words({"step": 3, "metrics": {"loss": None}}) == "step 3"


class Told:
    """A context that notes what it is told."""

    def __init__(self):
        self.calls = []

    def report(self, step, **more):
        self.calls.append((step, more))

    def total(self, steps):
        self.calls.append(steps)


def test_a_command_says_its_total_beside_a_step(tmp_path):
    context = Told()
    said = _Said(context, tmp_path / "metrics.jsonl")
    said.take("stdout", '{"step": 3, "steps": 20, "loss": 0.5}\n')
    said.take("stdout", '{"step": 4, "steps": 0.5}\n')
    assert context.calls == [20, (3, {"split": "returned", "loss": 0.5}), (4, {"split": "returned", "steps": 0.5})]
