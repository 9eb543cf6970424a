"""Searches whose runs are made up: a fake executor writes what a worker would have written."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.attempt.checkpoints import sealed_open
from harness.attempt.messages import (
    CHECKPOINT_FILE,
    CURVE_FILE,
    PROGRESS_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    STOP_FILE,
    AttemptRequest,
    AttemptResult,
    ResultValue,
    read_curve,
)
from harness.execution.executors.local import Ended
from harness.execution.options import Options
from harness.search.file import load_search
from harness.search.run import run_search
from harness.store.connection import open_reader
from harness.store.queries import snapshot
from harness.study.grid import Override
from harness.trial.attempt_digest import attempt_digest

FILE = """\
search: small
task: classification
dataset: digits
model: mnist_cnn
protocol: {kind: digits-quick, epochs: 1, train_on: without_validation}
seeds: [0]
sites: [conv2]
compressor: {kind: spatial}
strides: [2, 4, 8, 16, 32]
"""
LARGE = ["dataset=cifar10", "model={kind: vgg16, width: 0.25}", "protocol.kind=cifar-fast",
         "sites=[conv1, conv2, conv3, conv4, conv5]", "strides=[2, 4]"]  # fmt: skip


def strides(request):
    """Return the stride at each site that has a compressor."""
    return {site: options["stride"] for site, options in request.config["compressors"].items()}


def fall_with_strides(request):
    """Return an accuracy that falls with every compressor, a little with the seed."""
    return 0.9 - 0.05 * sum(math.log2(s) for s in strides(request).values()) - 0.001 * request.seed


class CrashError(Exception):
    """The driver's sudden death."""


@dataclass
class FakeExecutor:
    """Makes up attempts: an epoch at each look. `fate` gives an accuracy, a state, "full" (the disk), or raises."""

    fate: object = fall_with_strides
    requests: list = field(default_factory=list)  # of all attempts ever begun
    running: dict = field(default_factory=dict)
    most: int = 0  # at once
    slots: int = 1

    def __call__(self, slots, _threads):
        self.slots = slots
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.running.clear()

    def start(self, folder, _timeout_s):
        request = AttemptRequest.from_json((folder / REQUEST_FILE).read_text())
        assert [e.split for e in request.evaluations] == ["validation"]
        assert request.config["protocol"]["train_on"] == "without_validation"
        self.requests.append(request)
        self.running[folder] = [request, 0]
        self.most = max(self.most, len(self.running))

    def wait(self, _timeout_s):
        return [ended for folder in list(self.running) if (ended := self.look(folder))]

    def kill(self):
        pass

    def look(self, folder):
        request, done = self.running[folder]
        with sealed_open(folder / CHECKPOINT_FILE):
            pass
        fate = self.fate(request)
        epochs = request.config["protocol"]["epochs"]
        if (folder / STOP_FILE).exists():
            return self.end(folder, "interrupted")
        if fate == "full":
            return self.end(folder, "interrupted", error="OSError: [Errno 28] No space left on device")
        if isinstance(fate, str) and fate != "nan":
            return self.end(folder, fate)
        accuracy = 0.1 if fate == "nan" else fate
        self.running[folder][1] = done = done + 1
        with (folder / CURVE_FILE).open("a") as file:
            point = {"split": "validation", "name": "accuracy", "step": done, "value": accuracy, "flag": "ok"}
            file.write(json.dumps(point) + "\n")
        (folder / PROGRESS_FILE).write_text(
            json.dumps({"epoch": done, "epochs": epochs, "step": done, "steps": epochs})
        )
        if done < epochs:
            return None
        return self.end(folder, "nan" if fate == "nan" else "done", accuracy)

    def end(self, folder, state, accuracy=None, error=None):
        request, _ = self.running.pop(folder)
        if state in {"lost", "timeout"}:
            return Ended(folder, state, f"the attempt is {state}")
        if accuracy is not None:
            (folder / CHECKPOINT_FILE).unlink()
        evaluation = request.evaluations[0].key
        result = AttemptResult(
            uid=request.uid,
            state=state,
            started=f"2026-01-01T00:00:00.{len(self.requests):03}+00:00",
            ended="2026-01-01T00:00:01.000+00:00",
            execution={"device": "cpu", "threads": 1},
            environment={},
            code_digest=attempt_digest(request.config, request.datasets),
            resumed_from=request.resume_from,
            error_kind=error and "OSError",
            error=error,
            curve=read_curve(folder / CURVE_FILE),
            results=() if accuracy is None else (ResultValue(evaluation, "accuracy", accuracy),),
        )
        (folder / RESULT_FILE).write_text(result.to_json())
        return Ended(folder)

    @property
    def begun(self):
        """The strides of each attempt that was begun, in order."""
        return [strides(request) for request in self.requests]


class Silent:
    """A display that remembers what it was told."""

    def __init__(self):
        self.totals, self.begun, self.ends = [], [], []

    def total(self, attempts):
        self.totals.append(attempts)

    def started(self, label, *, resumed):
        self.begun.append((label, resumed))

    def progress(self, label, state):
        pass

    def ended(self, label, state, _result, _error):
        self.ends.append((label, state))


@dataclass
class Desk:
    """A folder with a search file and a store, in which searches are made with a fake executor."""

    folder: Path
    executor: FakeExecutor
    display: Silent = field(default_factory=Silent)

    @property
    def db(self):
        return self.folder / "results" / "harness.db"

    @property
    def file(self):
        return self.folder / "small.yml"

    def search(self, *settings):
        return load_search(self.file, [Override.parse(text) for text in settings])

    def options(self, **fields):
        return Options(self.db, self.folder, threads=1, **fields)

    def run(self, *settings, jobs=1, retry=(), from_start=False, executor=None, **arguments):
        options = self.options(jobs=jobs, retry=frozenset(retry), from_start=from_start)
        executor = executor or self.executor
        return run_search(self.search(*settings), options, self.display, executors=executor, **arguments)

    def found(self):
        with open_reader(self.db) as store:
            return snapshot(store)

    def states(self):
        return [attempt.state for attempt in self.found().attempts]


@pytest.fixture
def costs(monkeypatch):
    """Make costs up, so that no network is built: a hundred parameters, halved by each factor of two."""

    def count(trial, plugin_folders):
        factor = math.prod(options["stride"] for options in trial.config["compressors"].values())
        return {"parameters": 6400.0 / factor, "macs": 64000.0 / factor + 5}

    monkeypatch.setattr("harness.execution.register.trial_costs", count)
    monkeypatch.setattr("harness.search.ledger.trial_costs", count)


@pytest.fixture
def desk(tmp_path, costs, monkeypatch):
    monkeypatch.setattr("harness.search.run.check_runnable", lambda *_: None)
    (tmp_path / "small.yml").write_text(FILE)
    return Desk(tmp_path, FakeExecutor())


@pytest.fixture
def executor():
    """Return a function that makes another executor, whose attempts end as `fate` says."""
    return FakeExecutor


@pytest.fixture
def crash():
    return CrashError


@pytest.fixture
def large():
    """Return the settings of a search with 243 placements."""
    return LARGE
