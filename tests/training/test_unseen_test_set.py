"""A trial that chooses something never meets the test set: not in training, not in timing, not afterwards."""

from pathlib import Path

import numpy as np
import pytest
import torch

from harness.data.dataset import load_dataset
from harness.training import evaluate, timing, train
from harness.trial.datasets import DIGITS

CPU = torch.device("cpu")


class Watched(dict):
    """The splits of a dataset, which remember what is read of them."""

    def __init__(self, splits, read):
        super().__init__(splits)
        self.read = read

    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)


@pytest.fixture
def read(digits, monkeypatch):
    """Return what is read of the data; nothing of the test set's pixels could come by another way."""
    names = set()
    splits = Watched(digits, names)
    monkeypatch.setattr("harness.tasks.classification.load_splits", lambda _name, _root: splits)
    return names


def test_a_choosing_trial_reads_the_rest_and_the_validation_split(ask, stop_at, read, digits, monkeypatch):
    monkeypatch.setattr("harness.training.loop.OBSERVE_EVERY", 3)
    request = ask(train_on="without_validation")
    outcome = train.run(request, CPU, stop_at(1000))
    assert read == {"rest", "validation"}
    assert {p.split.partition("[")[0] for p in outcome.curve} == {"train", "validation"}
    assert [e.split for e in request.evaluations] == ["validation"]
    assert outcome.samples[0].count == len(digits["validation"])
    maps = np.load(Path(request.folder) / train.MAPS_FILE)["images"]
    kept_out = {image.tobytes() for image in digits["validation"].images}
    assert all(image.tobytes() in kept_out for image in maps)


def test_its_weights_are_evaluated_on_the_validation_split_alone(ask, stop_at, read):
    request = ask(train_on="without_validation")
    train.run(request, CPU, stop_at(1000))
    read.clear()
    again = ask("evaluate", train_on="without_validation", options={"weights_folder": request.folder})
    evaluate.run(again, CPU, stop_at(0))
    assert read == {"rest", "validation"}


def test_its_timing_reads_no_test_image(ask, stop_at, read):
    request = ask("timing", train_on="without_validation", options={"warm_up_steps": 1, "epochs": 1})
    assert timing.run(request, CPU, stop_at(1000)).state == "done"
    assert read == {"rest", "validation"}


def test_a_reporting_trial_trains_on_all_and_is_tested_on_the_test_set(ask, stop_at, read):
    request = ask()
    train.run(request, CPU, stop_at(1000))
    assert read == {"train", "test"}
    assert [e.split for e in request.evaluations] == ["test"]


def test_what_is_kept_out_is_not_trained_on():
    """The validation split is the first tenth of the training set, and nothing of it is in the rest."""
    digits = load_dataset(DIGITS, Path())
    rest = {image.tobytes() for image in digits["rest"].images}
    assert len(digits["validation"]) == 144
    assert len(digits["rest"]) == 1442 - 144
    assert not any(image.tobytes() in rest for image in digits["validation"].images)
