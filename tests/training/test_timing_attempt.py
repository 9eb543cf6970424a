"""Timing: what is timed, how often, and that nothing else is done in that time."""

import pytest
import torch

from harness.training import timing

CPU = torch.device("cpu")


@pytest.fixture
def steps(monkeypatch):
    """Return the sizes of the batches that were trained on."""
    taken = []
    step = timing.Training.step

    def note(self, index, epoch, number):
        taken.append(len(index))
        return step(self, index, epoch, number)

    monkeypatch.setattr(timing.Training, "step", note)
    return taken


def timed(request, stop):
    outcome = timing.run(request, CPU, stop)
    return outcome, {m.name: m.value for m in outcome.measures}


def test_whole_epochs_are_timed_after_a_warm_up_and_the_test_set_three_times(ask, stop_at, steps):
    outcome, measures = timed(ask("timing", options={"warm_up_steps": 2, "epochs": 2}), stop_at(1000))
    assert steps == [50, 50] + 2 * [50, 50, 50, 50, 50, 38]
    assert (outcome.state, outcome.curve, outcome.results, outcome.artifacts) == ("done", (), (), ())
    assert set(measures) == {
        f"{name}{suffix}"
        for name in ("train_s_per_epoch", "test_s", "test_s_per_image")
        for suffix in ("", "_min", "_max", "_count")
    }
    assert (measures["train_s_per_epoch_count"], measures["test_s_count"]) == (2, 3)
    for name in ("train_s_per_epoch", "test_s"):
        assert 0 < measures[f"{name}_min"] <= measures[name] <= measures[f"{name}_max"]


def test_one_epoch_is_timed_however_short_the_time(ask, stop_at, steps):
    _, measures = timed(ask("timing", options={"warm_up_steps": 1, "at_most_s": 0.0}), stop_at(1000))
    assert measures["train_s_per_epoch_count"] == 1


def test_the_design_holds_where_nothing_is_said():
    assert (timing.WARM_UP_STEPS, timing.EPOCHS, timing.AT_MOST_S, timing.TESTS) == (50, 3, 600.0, 3)


def test_median_and_spread_are_of_the_epochs():
    found = {m.name: m.value for m in timing._spread("t", [3.0, 1.0, 2.0])}
    assert found == {"t": 2.0, "t_min": 1.0, "t_max": 3.0, "t_count": 3}


def test_a_stop_ends_it_without_measures(ask, stop_at, steps):
    outcome, measures = timed(ask("timing", options={"warm_up_steps": 1}), stop_at(4))
    assert (outcome.state, measures) == ("interrupted", {})
    assert len(steps) == 1 + 4
