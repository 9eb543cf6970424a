"""Attempts in this process: the embedded digits, the smallest network, a few steps an epoch."""

from pathlib import Path
from uuid import uuid4

import pytest
import torch

from harness.attempt.messages import REQUEST_FILE, AttemptRequest, Execution, read_result
from harness.data.dataset import load_dataset
from harness.training.attempt import run_attempt
from harness.trial.datasets import DIGITS
from harness.trial.resolve import resolve_trial

WIDTH_75 = {"conv2": {"kind": "width", "stride": 4}}  # 8 channels: the smallest network
ADAM = {"kind": "adam", "learning_rate": 0.001}
NO_CHECKPOINTS = Execution(checkpoint_every_s=1e9)
MOMENTUM = {"kind": "sgd", "learning_rate": 0.01, "momentum": 0.9}

PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar

from torch import nn
import torch


@dataclass(frozen=True)
class Own:
    stride: int = 4
    commutes_with: ClassVar[frozenset[str]] = frozenset()

    def conv_channels(self, channels):
        return channels // self.stride

    def out_channels(self, channels):
        return channels // self.stride

    def layer(self, channels):
        {layer}
"""


class StopAt:
    """A stop that is asked for once `steps` steps were taken by this attempt."""

    def __init__(self, steps):
        self.steps, self.asked = steps, 0

    def __bool__(self):
        self.asked += 1
        return self.asked > self.steps


@pytest.fixture(scope="session")
def digits():
    """A fifth of the digits: six steps an epoch of batches of 50, the last one of 38."""
    whole = load_dataset(DIGITS, Path())
    train = whole["train"][:288]
    return {"train": train, "validation": train[:28], "rest": train[28:], "test": whole["test"][:71]}


@pytest.fixture(scope="module", autouse=True)
def quiet_process(digits):
    """One thread and data that are read once; what attempts set in their process is set back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.tasks.classification.load_splits", lambda _name, _root: digits)
        yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Return a function that makes a request with its folder: `ask(epochs=2, optimizer=ADAM, seed=1, …)`."""

    def make(
        kind="train",
        *,
        compressors=WIDTH_75,
        plugin_folders=(),
        seed=0,
        execution=NO_CHECKPOINTS,
        resume=None,
        options=None,
        **protocol,
    ):
        trial = resolve_trial(
            task="classification",
            dataset="digits",
            model="mnist_cnn",
            compressors=compressors,
            protocol={"kind": "digits-quick", "epochs": 1, "batch_size": 50, **protocol},
            plugin_folders=plugin_folders,
        )
        uid = uuid4().hex
        folder = tmp_path_factory.mktemp("attempt")
        request = AttemptRequest(
            uid=uid,
            kind=kind,
            trial_key=trial.key,
            config=trial.config,
            seed=seed,
            datasets=trial.data,
            evaluations=() if kind == "timing" else trial.evaluations,
            execution=execution,
            folder=str(folder),
            data_root=str(folder / "no-data"),
            resume_from=resume.uid if resume else None,
            resume_folder=resume.folder if resume else None,
            plugin_paths=tuple(plugin_folders),
            options=options or {},
        )
        (folder / REQUEST_FILE).write_text(request.to_json())
        return request

    return make


@pytest.fixture(scope="module")
def own_layer(tmp_path_factory):
    """Return a function that writes a plug-in whose layer is made by a line of code, as arguments for `ask`."""

    def write(layer):
        folder = tmp_path_factory.mktemp("plugin")
        (folder / "own_layer.py").write_text(PLUGIN.replace("{layer}", layer))
        return {"compressors": {"conv2": {"kind": "own_layer:Own"}}, "plugin_folders": (str(folder),)}

    return write


@pytest.fixture(scope="module")
def stop_at():
    return StopAt


@pytest.fixture(scope="session")
def optimizers():
    return {"momentum": MOMENTUM, "adam": ADAM}


@pytest.fixture
def ask_function(tmp_path):
    """Return a function that makes an attempt at the `run` of some code and returns its result."""

    def make(code, *, kind="train", seed=0, resume=None, stop=False, threads=1, **arguments):
        (tmp_path / "own.py").write_text(code)
        trial = resolve_trial(
            task="function",
            target="own.py:run",
            arguments=arguments,
            metrics={"accuracy": "maximize"},
            plugin_folders=[str(tmp_path)],
        )
        uid = uuid4().hex
        folder = tmp_path / uid
        folder.mkdir()
        request = AttemptRequest(
            uid=uid,
            kind=kind,
            trial_key=trial.key,
            config=trial.config,
            seed=seed,
            datasets=(),
            evaluations=trial.evaluations,
            execution=Execution(threads=threads),
            folder=str(folder),
            data_root=str(tmp_path),
            plugin_paths=(str(tmp_path),),
            resume_from=resume,
            resume_folder=str(tmp_path / resume) if resume else None,
            options={"metrics": dict(trial.directions)},
        )
        (folder / REQUEST_FILE).write_text(request.to_json())
        if stop:
            (folder / "stop").touch()
        run_attempt(folder)
        return read_result(folder)

    return make
