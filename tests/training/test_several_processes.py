"""Several processes that train one network find what one finds, keep equal weights, and lose nothing when one dies.

As in a run they are forked off a worker that has done little else: not off this process, with all that tests load.
"""

import multiprocessing
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch

from harness.attempt.messages import CHECKPOINT_FILE, LOG_FILE, WEIGHTS_FILE, Execution, read_curve, read_result
from harness.base.errors import DiedError
from harness.execution.libraries import COMPILER, WITH_TORCH
from harness.training.attempt import run_attempt
from harness.training.loop import Batches
from harness.training.ranks import Ranks
from harness.training.setup import _check_last_batch, build_task

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


def server(link, digits):
    """Fork a worker for each attempt that is asked for, off a process that has imported what it needs and no more."""
    torch.set_num_threads(1)
    for library in (*WITH_TORCH, COMPILER):
        import_module(library)
    always = {"training.loop.OBSERVE_EVERY": EVERY, "tasks.classification.load_splits": Digits(digits)}
    while (asked := link.recv()) is not None:
        folder, instead = asked
        fork = multiprocessing.get_context("fork")
        answer, theirs = fork.Pipe(duplex=False)
        worker = fork.Process(target=work, args=(theirs, folder, {**always, **instead}))
        worker.start()
        theirs.close()
        try:
            told = answer.recv()
        except EOFError:
            told = ("the worker died", 0)
        worker.join()
        link.send(told)


def work(link, folder, instead):
    """Make an attempt with other things in the place of some of the harness."""
    for name, thing in instead.items():
        pytest.MonkeyPatch().setattr(f"harness.{name}", thing)
    try:
        ended = run_attempt(folder)
    except DiedError as error:
        ended = error
    link.send((ended, len(multiprocessing.active_children())))


@dataclass
class Digits:
    splits: dict

    def __call__(self, _name, _root):
        return self.splits


@pytest.fixture(scope="module")
def attempt(digits):
    """Return a function that lets a worker make an attempt, and returns how that ended."""
    context = multiprocessing.get_context("spawn")
    link, theirs = context.Pipe()
    process = context.Process(target=server, args=(theirs, digits))
    process.start()
    theirs.close()

    def let(request, instead=None):
        link.send((Path(request.folder), instead or {}))
        ended, processes_left = link.recv()
        assert processes_left == 0
        return ended

    yield let
    link.send(None)
    process.join()


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


@pytest.fixture(scope="module")
def made(attempt):
    """Return a function that makes an attempt, and returns what it found that may not depend on when it was stopped."""

    def make(request):
        folder = Path(request.folder)
        assert attempt(request) == "done", read_result(folder).error
        result = read_result(folder)
        weights = torch.load(folder / WEIGHTS_FILE)
        return {
            "weights": {name: value.numpy().tobytes() for name, value in weights.items()},
            "curve": result.curve,
            "file": read_curve(folder / "curve.jsonl"),
            "results": result.results,
            "samples": result.samples,
        }

    return make


@pytest.fixture(scope="module")
def undisturbed(ask, watching, made):
    return made(ask(execution=TWO, **watching))


def test_it_is_the_same_again(ask, watching, undisturbed, made):
    assert made(ask(execution=TWO, **watching)) == undisturbed


@pytest.mark.parametrize("several", [TWO, THREE], ids=["two", "three"])
def test_they_find_what_one_finds(ask, own_layer, several, made):
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


def test_every_process_has_the_first_ones_buffers(ask, watching, here, made):
    made(ask(execution=TWO, **watching))
    first, second = ((here / f"seen{rank}").read_text().splitlines() for rank in (0, 1))
    assert first == second
    assert len(set(first)) == 12


KILLED = "was killed by SIGKILL, possibly because memory was used up"


@pytest.mark.parametrize(
    "case",
    [(0, 3, "is killed", KILLED), (1, 7, "is killed", KILLED), (1, 1, "exits", "ended itself with exit code 3")],
    ids=["the first is killed", "the second is killed", "the second exits"],
)
def test_if_one_dies_all_end_and_the_next_attempt_resumes_to_the_same_bits(
    ask, watching, here, undisturbed, case, made, attempt
):
    rank, step, fate, words = case
    (here / f"{rank} at {step}").write_text(fate)
    died = ask(execution=TWO, **watching)
    assert str(attempt(died)) == f"process {rank + 1} of 2 {words}"
    left = {path.name for path in Path(died.folder).iterdir()}
    assert CHECKPOINT_FILE in left
    assert not left & {LOG_FILE, "result.json", ".meeting.tmp"}
    request = ask(execution=TWO, resume=died, **watching)
    assert made(request) == undisturbed
    assert read_result(Path(request.folder)).resumed_from == died.uid


def test_an_error_in_one_of_them_is_the_attempts(ask, watching, here, attempt):
    (here / "1 at 2").write_text("raises")
    request = ask(execution=TWO, **watching)
    assert attempt(request) == "failed"
    result = read_result(Path(request.folder))
    assert (result.error_kind, result.error) == ("ValueError", "ValueError: as it should")
    assert "as it should" in Path(request.folder, LOG_FILE).read_text()


def test_a_stop_ends_all_at_one_checkpoint(ask, watching, here, undisturbed, made, attempt):
    request = ask(execution=TWO, **watching)
    (Path(request.folder) / "stop").touch()
    assert attempt(request) == "interrupted"
    assert made(ask(execution=TWO, resume=request, **watching)) == undisturbed


def test_a_checkpoint_of_other_processes_is_not_resumed(ask, watching, here, undisturbed, made, attempt):
    stopped = ask(execution=replace(ONE, threads=2), **watching)
    (Path(stopped.folder) / "stop").touch()
    assert attempt(stopped) == "interrupted"
    request = ask(execution=TWO, resume=stopped, **watching)
    assert made(request) == undisturbed
    assert read_result(Path(request.folder)).resumed_from is None


def test_dropout_resumes_to_the_same_bits(ask, own_layer, made, attempt):
    recipe = own_layer("return nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.3))") | {"epochs": 1}
    undisturbed = made(ask(execution=TWO, **recipe))
    stopped = ask(execution=TWO, **recipe)
    assert attempt(stopped, {"training.process.StopFlag.__bool__": StopAtThird()}) == "interrupted"
    assert len(read_curve(Path(stopped.folder) / "curve.jsonl")) == 0
    assert made(ask(execution=TWO, resume=stopped, **recipe)) == undisturbed


class StopAtThird:
    """A stop after three steps, in whichever process asks."""

    asked = 0

    def __call__(self):
        self.asked += 1
        return self.asked > 3


def test_a_timing_is_one_of_all_of_them(ask, attempt):
    request = ask("timing", execution=TWO, options={"warm_up_steps": 1, "epochs": 1, "tests": 1})
    assert attempt(request) == "done"
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


def test_a_last_batch_without_an_example_for_each_is_refused(ask, attempt):
    request = ask(execution=THREE, batch_size=95)  # 288 are three batches of 95, and 3
    assert attempt(request) == "done"
    request = ask(execution=THREE, batch_size=143)
    assert attempt(request) == "failed"
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


def without_shares(*arguments, **more):
    return NoShares(build_task(*arguments, **more))


def test_a_task_that_cannot_share_batches_is_refused(ask, attempt):
    request = ask(execution=TWO)
    assert attempt(request, {"training.setup.build_task": without_shares}) == "failed"
    assert "the task NoShares has no method 'share'" in read_result(Path(request.folder)).error
