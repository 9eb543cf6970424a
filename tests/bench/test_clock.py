"""Timing in turn and the arithmetic of ratios, with a clock that says what it is told."""

import json
import math
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.stats

from harness.bench import overhead
from harness.bench.clock import Timed, in_turn, machine, timed, write
from harness.bench.epoch import Epoch, EpochOptions, rows
from harness.bench.gpu_clock import timed_on
from harness.bench.ops import QUICK_SHAPES, SHAPES, OpCase, OpRow, compared, shapes_for
from harness.bench.overhead import Extent, FunctionTask, bench_overhead, orders, row


class FakeClock:
    """A clock that moves when a candidate says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def takes(self, *seconds):
        left = list(seconds)

        def work():
            self.now += left.pop(0)

        return work


def test_candidates_are_called_in_turn_and_the_warm_up_does_not_count():
    clock, calls = FakeClock(), []

    def candidate(name, *seconds):
        work = clock.takes(*seconds)
        return lambda: (calls.append(name), work())

    found = in_turn({"a": candidate("a", 9, 1, 2, 6), "b": candidate("b", 9, 3, 3, 3)}, 3, clock=clock)
    assert calls == ["a", "b"] * 4
    assert found == {"a": Timed((1, 2, 6)), "b": Timed((3, 3, 3))}
    assert found["a"].median == 2


def test_short_calls_are_timed_until_they_have_taken_so_long():
    clock = FakeClock()
    found = in_turn({"a": clock.takes(9, 1, 2, 2), "b": clock.takes(9, 1, 2, 2)}, 1, seconds=5, clock=clock)
    assert found == {"a": Timed((1, 2)), "b": Timed((1, 2))}  # 2 s after the one call asked for, then 6
    assert in_turn({"a": clock.takes(9, 1, 1)}, 2, seconds=1, clock=clock) == {"a": Timed((1, 1))}


def test_what_a_call_returns_lives_until_the_clock_was_read():
    clock = FakeClock()

    class Kept:
        def __del__(self):
            clock.now += 100

    assert timed(Kept, clock)[0] == 0


CASE = OpCase("spatial", (2, 4, 3, 3), 2, "nchw", "float32", "cpu", "forward")


def test_ratios_of_an_operator():
    first, second, third = compared([OpRow(CASE, name, s, 2.0) for name, s in (("a", 3.0), ("b", 6.0), ("c", 12.0))])
    assert [first.ratio_to_clone, second.ratio_to_clone, third.ratio_to_clone] == [1.5, 3.0, 6.0]
    assert [first.ratio_to_best, second.ratio_to_best, third.ratio_to_best] == [0.5, 2.0, 4.0]
    # it reads 1, writes 1/2, and 1/2 position of a quarter of the size; the copy moves 2 in 2 s
    assert first.ratio_to_bytes == pytest.approx(3.0 / 1.625)


def test_bandwidths_of_an_operator():
    row = OpRow(CASE, "a", 1e-9, 2e-9)  # 72 values of 4 bytes
    assert row.gb_per_s == pytest.approx(288 * 1.625)
    assert row.copy_gb_per_s == pytest.approx(288)
    assert row.as_dict()["gb_per_s"] == row.gb_per_s


def test_a_gpu_times_by_its_own_clock_while_the_work_is_asked_for(monkeypatch):
    calls = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.record = lambda: calls.append("record")
            self.synchronize = lambda: calls.append("synchronize")

        def elapsed_time(self, end):
            assert end is not self
            return 1.5  # milliseconds

    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.device", lambda device: nullcontext(calls.append(device)))
    monkeypatch.setattr("torch.cuda._sleep", lambda cycles: calls.append(f"wait {cycles > 0}"), raising=False)
    assert timed_on("cuda:1", lambda: calls.append("work") or "kept") == (0.0015, "kept")
    assert calls == ["cuda:1", "wait True", "record", "work", "record", "synchronize"]


def test_a_gpu_gets_tensors_that_no_cache_holds():
    assert shapes_for("cpu", quick=False) == SHAPES
    more = set(shapes_for("cuda:0", quick=False)) - set(SHAPES)
    assert {shape[1] for shape in more} == {32, 64, 256}
    assert all(math.prod(shape) * 2 >= 256 * 10**6 for shape in more)  # in bf16 too
    assert shapes_for("cuda:0", quick=True) == QUICK_SHAPES


def test_backward_moves_as_much_again():
    both = OpCase(**{**CASE.__dict__, "both": "forward+backward"})
    assert OpRow(both, "a", 6.5, 2.0).ratio_to_bytes == pytest.approx(2.0)


def test_one_implementation_alone_has_no_other():
    assert compared([OpRow(CASE, "a", 3.0, 2.0)])[0].ratio_to_best is None


def test_epochs_are_compared_by_the_median_of_images_a_second(tmp_path):
    ours = [Epoch(1.0, 100, 0.5), Epoch(2.0, 100, 0.6), Epoch(4.0, 100, 0.7)]
    usual = [Epoch(4.0, 100, 0.5)] * 3
    first, second = rows("digits", EpochOptions(tmp_path, precision="bf16"), {"harness": ours, "usual": usual})
    assert (first["images_per_s"], first["ratio"], first["accuracy"], first["precision"]) == (50, 2.0, 0.6, "bf16")
    assert (second["ratio"], second["precision"], second["workers"]) == (1.0, "fp32", 2)


def test_overhead_is_what_the_grid_takes_more():
    found = row("function", 2, 10, [50.0, 100.0, 50.0], [51.0, 102.0, 90.0])
    assert found["overhead"] == pytest.approx(0.02)  # the median of the rounds, which one that was disturbed leaves
    assert found["seconds_a_run_more"] == 1.0
    assert (found["bare_seconds"], found["grid_seconds"]) == (50.0, 90.0)


def test_an_overhead_has_the_interval_of_its_rounds():
    bare, grid = [50.0, 52.0, 51.0, 50.0], [51.0, 53.5, 52.2, 51.1]
    found = row("function", 2, 10, bare, grid)
    logs = np.log(np.array(grid) / bare)
    low, high = scipy.stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert (found["overhead_low_95"], found["overhead_high_95"]) == pytest.approx((np.expm1(low), np.expm1(high)))
    assert found["measurable"]


@pytest.mark.parametrize(
    ("bare", "grid"),
    [
        ([50.0, 50.0, 50.0], [51.0, 49.0, 52.0]),  # the interval reaches none
        ([50.0, 50.0, 50.0], [47.0, 47.5, 47.2]),  # nothing around a run makes it faster: the machine was not at rest
        ([50.0], [52.0]),  # one round has no interval
    ],
)
def test_what_noise_hides_is_not_measurable(bare, grid):
    found = row("function", 2, 10, bare, grid)
    assert not found["measurable"]
    if len(bare) > 1:
        assert found["noise"] == max(abs(found["overhead_low_95"]), abs(found["overhead_high_95"]))


def test_each_side_begins_as_often_as_the_other_in_an_order_that_is_drawn():
    for seed in range(20):
        made = orders(6, seed)
        assert [sorted(order) for order in made] == [["bare", "grid"]] * 6
        assert sum(order[0] == "bare" for order in made) == 3
        assert made == orders(6, seed)
    assert len({tuple(orders(6, seed)) for seed in range(20)}) > 1
    assert len(orders(3, 0)) == 3


def test_the_machine_is_warm_before_either_side_is_timed(monkeypatch, tmp_path):
    """An effect of order alone, the first of two being slower, must not become an overhead."""
    calls = []

    def side(name, _task, amount, runs, *_):
        calls.append((name, amount, runs))
        return 10.0 + (len(calls) % 2)  # the second of each round is slower

    monkeypatch.setattr(overhead, "_side", side)
    monkeypatch.setattr(FunctionTask, "probe", lambda _: 0.01)
    found = bench_overhead("f", FunctionTask(1), Extent(1.0, 2, 4), threads=1, data_root=tmp_path, say=lambda _: None)
    assert calls[:2] == [("bare", 10, 1), ("grid", 10, 1)], "a tenth of a run each, not timed"
    assert [call[1:] for call in calls[2:]] == [(100, 2)] * 8
    assert not found["measurable"]
    assert found["overhead_low_95"] < 0 < found["overhead_high_95"]


def test_figures_are_stored_with_machine_and_command(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/harness", "bench", "ops"])
    stored = json.loads(write(tmp_path, "ops", [{"a": 1}], threads=3).read_text())
    assert stored["benchmark"] == "ops"
    assert stored["rows"] == [{"a": 1}]
    assert stored["command"] == "harness bench ops"
    assert stored["machine"]["threads"] == 3
    assert set(machine()) == {"processor", "cores", "threads", "gpu", "python", "torch", "load", "date"}


def test_figures_of_a_gpu_lie_beside_those_of_the_cpu(tmp_path):
    assert write(tmp_path, "ops", [{"device": "cuda:0"}]).name == "ops-gpu.json"
    assert write(tmp_path, "ops", [{"device": "cpu"}]).name == "ops.json"


def test_the_stored_command_names_no_folders_of_the_machine(tmp_path, monkeypatch):
    words = ["bench", "ops", "--out", "/home/some one/figures", "--data=/srv/data/", "--name", "a/b", "--x=y"]
    monkeypatch.setattr("sys.argv", ["/usr/bin/harness", *words])
    stored = json.loads(write(tmp_path, "ops", []).read_text())
    assert stored["command"] == "harness bench ops --out figures --data=data --name a/b --x=y"


def test_a_probe_that_was_disturbed_does_not_ask_for_hours(monkeypatch):
    now = iter([0.0, 1.0, 1.0, 7.0, 7.0, 9.0])  # 200 rounds took three times as long as the 400 after them
    monkeypatch.setattr("harness.bench.overhead.function", lambda *_, **__: None)
    monkeypatch.setattr("harness.bench.overhead.time.perf_counter", lambda: next(now))
    assert FunctionTask(1).probe() == 2.0 / 4 / 200
