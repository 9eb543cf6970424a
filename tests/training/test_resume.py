"""An attempt that is stopped and gone on with ends with the same bits; one that does not fit is not gone on with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.attempt.messages import CHECKPOINT_FILE, CURVE_FILE, WEIGHTS_FILE, Execution, read_curve, read_result
from harness.training import checkpoint, train
from harness.training.attempt import run_attempt
from harness.training.checkpoint import load_checkpoint

CPU = torch.device("cpu")
EVERY = 4  # steps between observations here; an epoch has 6 steps
EPOCHS = 2


@pytest.fixture(scope="module", autouse=True)
def frequent_observations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.training.loop.OBSERVE_EVERY", EVERY)
        yield


@pytest.fixture(scope="module")
def recipes(own_layer, optimizers):
    """Two recipes that have all kinds of state: momentum, Adam's moments, batch statistics, a library's generator."""
    layer = own_layer("return nn.Sequential(nn.BatchNorm2d(8), nn.Dropout(0.3))")
    return {
        "SGD with momentum, batch norm and dropout": {"optimizer": optimizers["momentum"], **layer},
        "Adam": {"optimizer": optimizers["adam"]},
    }


RECIPES = ["SGD with momentum, batch norm and dropout", "Adam"]


def found(request, outcome):
    """Return all that an attempt found that may not depend on when it was stopped."""
    folder = Path(request.folder)
    weights = torch.load(folder / WEIGHTS_FILE)
    maps = np.load(folder / train.MAPS_FILE)
    return {
        "state": outcome.state,
        "weights": {key: value.numpy().tobytes() for key, value in weights.items()},
        "curve": outcome.curve,
        "file": read_curve(folder / CURVE_FILE),
        "results": outcome.results,
        "samples": outcome.samples,
        "maps": {key: maps[key].tobytes() for key in maps},
    }


@pytest.fixture(scope="module")
def undisturbed(ask, stop_at, recipes):
    ended = {}
    for name, recipe in recipes.items():
        request = ask(epochs=EPOCHS, **recipe)
        ended[name] = found(request, train.run(request, CPU, stop_at(1000)))
    return ended


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    "stops",
    [(0,), (EVERY - 1,), (6,), (11,), (EVERY, 0, 3, 4)],
    ids=["before the first step", "before an observation", "between epochs", "before the last step", "four times"],
)
def test_a_stopped_attempt_ends_as_an_undisturbed_one(recipe, stops, ask, stop_at, recipes, undisturbed):
    last, reached = None, 0
    for steps in stops:
        reached += steps
        request = ask(epochs=EPOCHS, resume=last, **recipes[recipe])
        torch.manual_seed(99)  # a new process has drawn other numbers
        stopped = train.run(request, CPU, stop_at(steps))
        assert (stopped.state, stopped.results) == ("interrupted", ())
        assert stopped.resumed_from == (last.uid if last else None)
        assert list(stopped.curve) == [p for p in undisturbed[recipe]["curve"] if p.step <= reached]
        last = request
    request = ask(epochs=EPOCHS, resume=last, **recipes[recipe])
    ended = train.run(request, CPU, stop_at(1000))
    assert ended.resumed_from == last.uid
    assert found(request, ended) == undisturbed[recipe]


def test_the_checkpoint_is_let_go_of_when_the_result_is_there(ask, monkeypatch):
    """A crash between the two leaves one of them: the run is never lost."""
    request = ask(execution=Execution(threads=1, checkpoint_every_s=0))
    folder = Path(request.folder)

    def crash(path, text):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("harness.training.attempt.atomic_write", crash)
        with pytest.raises(KeyboardInterrupt):
            run_attempt(folder)
    assert (folder / CHECKPOINT_FILE).exists()
    assert run_attempt(folder) == "done"
    assert read_result(folder).state == "done"
    assert not (folder / CHECKPOINT_FILE).exists()


def test_a_checkpoint_is_written_at_every_step_where_the_study_wants_it(ask, stop_at, monkeypatch):
    steps = []
    save = train.save_checkpoint
    monkeypatch.setattr(train, "save_checkpoint", lambda p, c: (steps.append(c.progress.step), save(p, c)))
    request = ask(execution=Execution(checkpoint_every_s=0))
    train.run(request, CPU, stop_at(1000))
    assert steps == [0, 1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def stopped(ask, stop_at):
    request = ask()
    train.run(request, CPU, stop_at(3))
    return request


def progress_of(request, stop_at):
    """Run until the first check for a stop; return the outcome and the step that was reached by then."""
    outcome = train.run(request, CPU, stop_at(0))
    return outcome, load_checkpoint(Path(request.folder) / CHECKPOINT_FILE).progress.step


def test_a_fitting_checkpoint_is_gone_on_with_and_written_at_once(ask, stop_at, stopped):
    request = ask(resume=stopped)
    own = Path(request.folder) / CHECKPOINT_FILE
    there = []

    class Look(stop_at):
        def __bool__(self):
            there.append(own.exists())
            return super().__bool__()

    assert train.run(request, CPU, Look(0)).resumed_from == stopped.uid
    assert there == [True]
    assert load_checkpoint(own).progress.step == 3
    assert (Path(stopped.folder) / CHECKPOINT_FILE).exists()


def test_a_checkpoint_of_other_threads_is_not_gone_on_with(ask, stop_at, stopped):
    request = ask(resume=stopped, execution=Execution(threads=2, checkpoint_every_s=1e9))
    outcome, step = progress_of(request, stop_at)
    assert (outcome.resumed_from, step) == (None, 0)


@pytest.mark.parametrize(
    "execution", [{"memory_format": "channels_last"}, {"deterministic": False}, {"compile": True}], ids=str
)
def test_a_checkpoint_of_another_execution_is_not_gone_on_with(ask, stop_at, stopped, execution):
    request = ask(resume=stopped, execution=Execution(checkpoint_every_s=1e9, **execution))
    assert progress_of(request, stop_at)[1] == 0


def test_how_often_checkpoints_are_written_does_not_matter(ask, stop_at, stopped):
    request = ask(resume=stopped, execution=Execution(checkpoint_every_s=5, jobs=3))
    assert progress_of(request, stop_at)[1] == 3


def test_a_checkpoint_of_other_code_is_not_gone_on_with(ask, stop_at, stopped, monkeypatch):
    monkeypatch.setattr(checkpoint, "attempt_digest", lambda *_, **__: "f" * 16)
    outcome, step = progress_of(ask(resume=stopped), stop_at)
    assert (outcome.resumed_from, step) == (None, 0)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epochs": 2}], ids=["seed", "trial"])
def test_a_checkpoint_of_another_run_is_not_gone_on_with(ask, stop_at, stopped, other):
    outcome, step = progress_of(ask(resume=stopped, **other), stop_at)
    assert (outcome.resumed_from, step) == (None, 0)


def test_a_missing_checkpoint_means_a_fresh_start(ask, stop_at, tmp_path):
    request = replace(ask(), resume_from="gone", resume_folder=str(tmp_path))
    outcome, step = progress_of(request, stop_at)
    assert (outcome.resumed_from, step) == (None, 0)


def flipped(place):
    """Flip a bit at some part of a file: in a weight, in the name of a tensor, in the checksum."""

    def damage(content):
        at = int(place * (len(content) - 1))
        return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]

    return damage


@pytest.mark.parametrize(
    "damage",
    [*map(flipped, (0, 0.1, 0.5, 0.9, 1)), lambda content: content[: len(content) // 2], lambda _: b""],
    ids=["first", "weight", "middle", "moments", "checksum", "half", "empty"],
)
def test_a_damaged_checkpoint_means_a_fresh_start_that_is_said(ask, stop_at, stopped, damage):
    damaged = ask()
    whole = (Path(stopped.folder) / CHECKPOINT_FILE).read_bytes()
    (Path(damaged.folder) / CHECKPOINT_FILE).write_bytes(damage(whole))
    outcome, step = progress_of(ask(resume=damaged), stop_at)
    assert (outcome.resumed_from, step) == (None, 0)
    (note,) = outcome.notes
    assert note.startswith("the checkpoint is damaged (checkpoint.pt ")
    assert note.endswith("): it started afresh")
