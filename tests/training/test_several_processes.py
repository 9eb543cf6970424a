"""Several processes that train one network find what one finds, keep equal weights, and lose nothing when one dies.

The processes are forked off this one, which stands for the worker.
"""

import multiprocessing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from harness.attempt.messages import CHECKPOINT_FILE, LOG_FILE, WEIGHTS_FILE, Execution, read_curve, read_result
from harness.base.errors import DiedError
from harness.training.attempt import run_attempt
from harness.training.loop import Batches
from harness.training.ranks import Ranks
from harness.training.setup import _check_last_batch

EVERY = 4  # steps between observations here; an epoch has 6 steps, the last one of 38 examples
ONE, TWO, THREE = (Execution(processes=count, threads=count, checkpoint_every_s=0) for count in (1, 2, 3))
LAYER = "return nn.Sequential(nn.BatchNorm2d(8), Watching())"
WATCHING = '''

import os, signal, time
from pathlib import Path
import torch.distributed as dist

HERE = Path(__file__).parent


class Watching(nn.Module):
    """Keeps sums of the weights that each process sees, and dies once, where a file says so."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.steps = 0

    def forward(self, x):
        if self.training:
            rank = dist.get_rank() if dist.is_initialized() else 0
            with (HERE / f"seen{rank}").open("a") as file:
                file.write(f"{self.mean.item().hex()}\\n")
            self.mean.add_(x.detach().mean())  # of its share: another in each process
            fate = HERE / f"{rank} at {self.steps}"
            self.steps += 1
            if fate.exists():
                what = fate.read_text()
                fate.unlink()
                if what == "is killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                if what == "exits":
                    os._exit(3)
                if what == "raises":
                    raise ValueError("as it should")
                (HERE / "stop").touch()
        return x
'''


@pytest.fixture(scope="module", autouse=True)
def frequent_observations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.training.loop.OBSERVE_EVERY", EVERY)
        yield


@pytest.fixture(scope="module")
def watching(own_layer):
    """A network with batch normalisation, and a layer of a person's own that has a buffer and may die."""
    plugin = own_layer(LAYER)
    file = Path(plugin["plugin_folders"][0], "own_layer.py")
    file.write_text(file.read_text() + WATCHING)
    return {**plugin, "epochs": 2}


@pytest.fixture
def here(watching):
    """The folder of the layer, where it looks for its fate."""
    yield (folder := Path(watching["plugin_folders"][0]))
    for file in (*folder.glob("seen*"), *folder.glob("* at *")):
        file.unlink()


def made(request):
    """Make an attempt, and return what it found that may not depend on when it was stopped."""
    folder = Path(request.folder)
    assert run_attempt(folder) == "done", read_result(folder).error
    assert not multiprocessing.active_children()
    result = read_result(folder)
    weights = torch.load(folder / WEIGHTS_FILE)
    return {
        "weights": {name: value.numpy().tobytes() for name, value in weights.items()},
        "curve": result.curve,
        "file": read_curve(folder / "curve.jsonl"),
        "results": result.results,
        "samples": result.samples,
    }


def weights_of(found, request):
    return torch.load(Path(request.folder) / WEIGHTS_FILE)


@pytest.fixture(scope="module")
def undisturbed(ask, watching):
    return made(ask(execution=TWO, **watching))


def test_it_is_the_same_again(ask, watching, undisturbed):
    assert made(ask(execution=TWO, **watching)) == undisturbed


@pytest.mark.parametrize("several", [TWO, THREE], ids=["two", "three"])
def test_they_find_what_one_finds(ask, own_layer, several):
    """Batches of 50 and 38 are no multiples of 3."""
    recipe = own_layer("return nn.BatchNorm2d(8)") | {"epochs": 1}
    one, more = ask(execution=ONE, **recipe), ask(execution=several, **recipe)
    alone, together = made(one), made(more)
    expected, got = (torch.load(Path(request.folder) / WEIGHTS_FILE) for request in (one, more))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-5, msg=partial("{}: {}".format, name))
    points = [(p.split, p.name, p.step) for p in alone["curve"]]
    assert [(p.split, p.name, p.step) for p in together["curve"]] == points
    for a, b in zip(alone["curve"], together["curve"], strict=True):
        assert b.value == pytest.approx(a.value, rel=1e-4, abs=0.02 if a.name == "accuracy" else 0)


def test_every_process_has_the_first_ones_buffers(ask, watching, here):
    made(ask(execution=TWO, **watching))
    first, second = ((here / f"seen{rank}").read_text().splitlines() for rank in (0, 1))
    assert first == second
    assert len(set(first)) == 12


KILLED = "was killed by SIGKILL, possibly because memory was used up"


@pytest.mark.parametrize(
    ("rank", "step", "fate", "words"),
    [(0, 3, "is killed", KILLED), (1, 7, "is killed", KILLED), (1, 1, "exits", "ended itself with exit code 3")],
    ids=["the first is killed", "the second is killed", "the second exits"],
)
def test_if_one_dies_all_end_and_the_next_attempt_resumes_to_the_same_bits(
    ask, watching, here, undisturbed, rank, step, fate, words
):
    (here / f"{rank} at {step}").write_text(fate)
    died = ask(execution=TWO, **watching)
    with pytest.raises(DiedError) as told:
        run_attempt(Path(died.folder))
    assert str(told.value) == f"process {rank + 1} of 2 {words}"
    assert not multiprocessing.active_children()
    left = {path.name for path in Path(died.folder).iterdir()}
    assert CHECKPOINT_FILE in left
    assert not left & {LOG_FILE, "result.json", ".meeting.tmp"}
    request = ask(execution=TWO, resume=died, **watching)
    assert made(request) == undisturbed
    assert read_result(Path(request.folder)).resumed_from == died.uid


def test_an_error_in_one_of_them_is_the_attempts(ask, watching, here):
    (here / "1 at 2").write_text("raises")
    request = ask(execution=TWO, **watching)
    assert run_attempt(Path(request.folder)) == "failed"
    result = read_result(Path(request.folder))
    assert (result.error_kind, result.error) == ("ValueError", "ValueError: as it should")
    assert "as it should" in Path(request.folder, LOG_FILE).read_text()
    assert not multiprocessing.active_children()


def test_a_stop_ends_all_at_one_checkpoint(ask, watching, here, undisturbed):
    request = ask(execution=TWO, **watching)
    (Path(request.folder) / "stop").touch()
    assert run_attempt(Path(request.folder)) == "interrupted"
    assert not multiprocessing.active_children()
    assert made(ask(execution=TWO, resume=request, **watching)) == undisturbed


def test_a_checkpoint_of_other_processes_is_not_resumed(ask, watching, here, undisturbed):
    stopped = ask(execution=replace(ONE, threads=2), **watching)
    (Path(stopped.folder) / "stop").touch()
    assert run_attempt(Path(stopped.folder)) == "interrupted"
    request = ask(execution=TWO, resume=stopped, **watching)
    assert made(request) == undisturbed
    assert read_result(Path(request.folder)).resumed_from is None


def test_dropout_resumes_to_the_same_bits(ask, own_layer):
    recipe = own_layer("return nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.3))") | {"epochs": 1}
    undisturbed = made(ask(execution=TWO, **recipe))
    stopped = ask(execution=TWO, **recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.training.process.StopFlag.__bool__", StopAtThird())
        assert run_attempt(Path(stopped.folder)) == "interrupted"
    assert len(read_curve(Path(stopped.folder) / "curve.jsonl")) == 0
    assert made(ask(execution=TWO, resume=stopped, **recipe)) == undisturbed


class StopAtThird:
    """A stop after three steps, in whichever process asks."""

    asked = 0

    def __call__(self):
        self.asked += 1
        return self.asked > 3


def test_a_timing_is_one_of_all_of_them(ask):
    request = ask("timing", execution=TWO, options={"warm_up_steps": 1, "epochs": 1, "tests": 1})
    assert run_attempt(Path(request.folder)) == "done"
    result = read_result(Path(request.folder))
    measures = {measure.name: measure.value for measure in result.measures}
    assert measures["train_s_per_epoch"] > 0
    assert measures["test_s"] > 0
    assert result.execution["processes"] == 2
    assert result.environment["threads_in_use"] == {"torch": 1}


def test_shares_are_whole_and_even():
    for count in (1, 2, 3, 7):
        for batch in range(count, 30):
            parts = [Ranks(rank, count).part(batch) for rank in range(count)]
            assert [i for part in parts for i in range(batch)[part]] == list(range(batch))
            sizes = {part.stop - part.start for part in parts}
            assert max(sizes) - min(sizes) <= 1
            assert min(sizes) > 0


def test_a_last_batch_without_an_example_for_each_is_refused(ask):
    request = ask(execution=THREE, batch_size=95)  # 288 are three batches of 95, and 3
    assert run_attempt(Path(request.folder)) == "done"
    request = ask(execution=THREE, batch_size=143)
    assert run_attempt(Path(request.folder)) == "failed"
    assert (
        "the last batch of an epoch has 2 of 288 examples, too few for 3 processes: take"
        in read_result(Path(request.folder)).error
    )
    _check_last_batch(Batches.of({"batch_size": 143, "last_batch": "drop", "epochs": 1}, 288), Ranks(0, 3))


class NoShares:
    """A task as others may have written it."""

    def __init__(self, task):
        self._task = task

    def __getattr__(self, name):
        if name == "share":
            raise AttributeError(name)
        return getattr(self._task, name)


def test_a_task_that_cannot_share_batches_is_refused(ask, monkeypatch):
    from harness.training import setup

    build = setup.build_task
    monkeypatch.setattr(setup, "build_task", lambda *a, **k: NoShares(build(*a, **k)))
    request = ask(execution=TWO)
    assert run_attempt(Path(request.folder)) == "failed"
    assert "the task NoShares has no method 'share'" in read_result(Path(request.folder)).error
