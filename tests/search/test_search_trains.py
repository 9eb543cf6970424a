"""Searches that really train: no test image is read, and whatever is killed, the next call goes on."""

import json
import os
import signal
from pathlib import Path

import pytest
from command import start_command, until
from in_this_process import InThisProcess

from harness.search.run import run_search
from harness.store.connection import open_reader
from harness.store.queries import curve, snapshot
from harness.study.study import load_study


class Poisoned(dict):
    """The splits of a dataset of which `test` and all of `train` kill whoever reads them."""

    def __init__(self, splits, read):
        super().__init__(splits)
        self.read = read

    def __getitem__(self, name):
        assert name not in {"test", "train"}, f"a search read the {name} split"
        self.read.add(name)
        return super().__getitem__(name)


@pytest.fixture
def read(monkeypatch):
    """Return the names of the splits that are read, of which the test split must not be."""
    from harness.data.dataset import load_dataset

    names = set()
    monkeypatch.setattr(
        "harness.tasks.classification.load_splits", lambda name, root: Poisoned(load_dataset(name, root), names)
    )
    return names


def test_a_search_with_its_confirmation_reads_no_test_image(desk, read, monkeypatch):
    result = run_search(
        desk.search("sampler=brute", "strides=[16]", "protocol.batch_size=250"),
        desk.options(),
        desk.display,
        confirm=[10],
        executors=InThisProcess(),
    )
    assert (result.counts, result.stopped) == ({"value": 2}, "exhausted")
    assert all(0 < c.confirmed[10] <= 1 for c in result.front)
    assert read == {"rest", "validation"}
    with open_reader(desk.db) as store:
        attempts = snapshot(store).attempts
        assert {p.split.partition("[")[0] for a in attempts for p in curve(store, a.uid)} <= {"train", "validation"}
    assert len(attempts) == 2 + len(result.front)
    monkeypatch.undo()
    trials = [item.trial for item in load_study(result.study_file).trials]
    assert {e.split for trial in trials for e in trial.evaluations} == {"test"}


@pytest.fixture
def start(desk):
    """Return a function that starts the search as a person does; what still runs is ended after the test."""
    text = desk.file.read_text().replace("strides: [2, 4, 8, 16, 32]", "strides: [16, 32]")
    desk.file.write_text(
        f"{text.replace('epochs: 1', 'epochs: 4, batch_size: 250')}execution: {{checkpoint_every_s: 0, threads: 1}}\n"
    )
    processes = []

    def start(*arguments):
        process = start_command(desk.folder, "search", "placement", desk.file, "--device", "cpu", *arguments)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def finish(process, timeout=280):
    out, err = process.communicate(timeout=timeout)
    assert "Traceback" not in err, err
    return process.returncode, out, err


def test_a_search_whose_driver_is_killed_is_completed_by_the_same_command(desk, start):
    artifacts = desk.db.parent / "artifacts"
    command = ("--trials", 2, "--format", "json")
    process = start(*command)
    until(lambda: artifacts.exists() and list(artifacts.glob("*/checkpoint.pt")))
    process.kill()
    process.wait()
    until(lambda: not lives(process.pid))  # the worker ends by itself
    assert desk.states() == ["running"]
    code, out, err = finish(start(*command))
    assert code == 0, err
    assert "resumes" in err.splitlines()[0]
    result = json.loads(out)
    assert (result["placements"], result["outcomes"], result["ended"]) == (2, {"value": 2}, {"done": 2})
    found = desk.found()
    assert sorted(a.state for a in found.attempts) == ["done", "done", "lost"]
    assert sum(a.resumed_from is not None for a in found.attempts) == 1
    assert len({(a.trial_key, a.seed) for a in found.attempts if a.accepted}) == 2
    study = Path(result["study"]).read_bytes(), Path(result["figure"]).read_bytes()
    code, out, err = finish(start(*command))
    again = json.loads(out)
    assert (code, again["ended"], again["front"]) == (0, {}, result["front"])
    assert (Path(result["study"]).read_bytes(), Path(result["figure"]).read_bytes()) == study


def test_ctrl_c_ends_with_130_at_a_checkpoint(desk, start):
    artifacts = desk.db.parent / "artifacts"
    process = start("--trials", 2, "--set", "protocol.epochs=1000")
    until(lambda: artifacts.exists() and list(artifacts.glob("*/checkpoint.pt")))
    os.killpg(process.pid, signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130, err
    assert "1 of 3 placements tried, known: 1 unfinished" in out
    assert "the same command resumes from the checkpoints" in err
    assert desk.states() == ["interrupted"]
    assert not list(desk.db.parent.glob("*.yml"))
