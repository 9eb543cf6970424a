"""Which device runs go to: one, or several GPUs that share them out evenly."""

import shutil
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

from harness.attempt.messages import REQUEST_FILE, AttemptRequest
from harness.cli import main
from harness.execution import device, driver
from harness.execution.executors.local import Ended
from harness.execution.options import Options
from harness.study.study import load_study


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(device, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [("auto", ("cuda:0", "cuda:1")), ("cuda", ("cuda:0", "cuda:1")), ("cuda:1", ("cuda:1",)), ("cpu", ())],
)
def test_all_gpus_are_meant_unless_one_is_named(two_gpus, asked, gpus):
    assert device.all_gpus(asked) == gpus


def test_without_a_gpu_there_are_none(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(device, "_may_have_gpu", lambda: False)
    assert device.all_gpus("auto") == ()


class FakeExecutor:
    """Ends the attempts one at a time, the first first, and notes where those that run were put."""

    def __init__(self, slots):
        self.slots, self.running, self.seen, self.most = slots, {}, [], Counter()

    def start(self, folder, timeout_s):
        request = AttemptRequest.from_json((folder / REQUEST_FILE).read_text())
        self.running[folder] = request.execution.device
        self.seen.append(request.execution.device)
        for gpu, count in Counter(self.running.values()).items():
            self.most[gpu] = max(self.most[gpu], count)

    def wait(self, timeout_s):
        folder = next(iter(self.running))
        del self.running[folder]
        return [Ended(folder, "lost", "it was only a trial")]

    def kill(self):
        self.running.clear()


class Quiet:
    def total(self, attempts): ...
    def started(self, label, *, resumed): ...
    def progress(self, label, state): ...
    def ended(self, label, state, result, error): ...


def test_attempts_go_to_the_gpu_that_has_the_fewest(tmp_path, study_file, monkeypatch):
    executor = FakeExecutor(4)
    monkeypatch.setattr(Options, "make_executor", lambda *_: nullcontext(executor))
    study = replace(load_study(study_file("quickstart")), only="*")
    gpus = ("cuda:0", "cuda:1")
    options = Options(db=tmp_path / "h.db", data_root=tmp_path, device="cuda:0", devices=gpus, jobs=4)
    driver.run_grid([study], options, Quiet())
    assert len(executor.seen) == 7
    assert executor.seen[:4] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert executor.most == {"cuda:0": 2, "cuda:1": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--per-device", "2", "--device", "cpu"], "--per-device shares GPUs out and there is none here"),
        (["--per-device", "2", "--jobs", "2"], "--jobs and --per-device both say"),
    ],
)
def test_what_does_not_go_together_is_one_line(tmp_path, study_file, words, message):
    call = ["run", "grid", str(study_file("quickstart")), "--db", str(tmp_path / "h.db"), *words]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "h.db").exists()
