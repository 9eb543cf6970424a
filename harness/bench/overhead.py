"""`harness bench overhead`: a grid through the driver against the same work with nothing around it.

Both sides are whole commands, from the start of the process to its end: `harness run grid` with its store, curves and
checkpoints for `runs` seeds, and `python -m harness.bench.bare` once per seed, as a loop over a script. How
much work a run is follows from a first bare run of a little of it, scaled to the seconds that were asked for.

Each round has both sides, first the one and then the other by a seeded draw, after a short round that is not timed: a
machine that gets warm, or throttled, otherwise favours the same side every time. What several rounds give is an
interval; an overhead that it does not tell from none is not measurable.
"""

import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, Protocol

from harness.attempt.messages import AttemptRequest, Execution
from harness.bench.bare import run as function
from harness.study.study import Study, load_study

_MAIN = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"
_PROBE_ROUNDS = 200
_LEVEL = 0.95
_WARM_UP = 0.1  # of a run's work, once by each side
_SIDES = ("bare", "grid")


class Task(Protocol):
    """Work in both forms. `amount` is in units of the task: rounds, epochs."""

    def probe(self) -> float:
        """Return the seconds of one unit."""

    def study(self, amount: int, seeds: int) -> str:
        """Return the study's text."""

    def bare(self, study: Study, amount: int, seed: int, folder: Path) -> list[str]:
        """Return the arguments of `harness.bench.bare` for a seed."""


@dataclass(frozen=True)
class FunctionTask:
    """`task: function`: `harness.bench.bare.run`."""

    threads: int
    wait_s: float = 0.0  # a round waits so long instead of computing

    def probe(self) -> float:
        """Return the seconds of one round."""
        if self.wait_s:
            return self.wait_s
        from harness.bench.bare import Nothing

        seconds = []
        for rounds in (1, _PROBE_ROUNDS, 2 * _PROBE_ROUNDS):  # the first rounds, of larger values, take longer
            started = time.perf_counter()
            function(Nothing(0), rounds=rounds)
            seconds.append(time.perf_counter() - started)
        _, once, twice = seconds
        return max(twice - once, twice / 4) / _PROBE_ROUNDS  # a disturbed difference is no reason to work for hours

    def study(self, amount: int, seeds: int) -> str:
        """Return the study's text."""
        return (
            f"study: overhead\ntask: function\ntarget: overhead_work.py:run\nseeds: {list(range(seeds))}\n"
            f"execution: {{threads: {self.threads}}}\nmetrics: {{spread: maximize}}\n"
            f"trials:\n  - name: work\n    arguments: {{rounds: {amount}, wait_s: {self.wait_s}}}\n"
        )

    def bare(self, study: Study, amount: int, seed: int, folder: Path) -> list[str]:  # noqa: ARG002 - of a task
        """Return the arguments for a seed."""
        return ["function", str(amount), str(seed), str(self.wait_s)]


@dataclass(frozen=True)
class ClassificationTask:
    """Training the MNIST network, on digits or MNIST."""

    threads: int
    data_root: Path
    dataset: str = "digits"

    def probe(self) -> float:
        """Return the seconds of one epoch, from a bare run of one and one of two."""
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            seconds = []
            for epochs in (1, 2):
                study = _written(self.study(epochs, 1), folder)
                seconds.append(_seconds([_bare(self, study, epochs, 0, folder)], self.threads))
        return max(seconds[1] - seconds[0], 0.01)

    def study(self, amount: int, seeds: int) -> str:
        """Return the study's text."""
        protocol = {"digits": "digits-quick", "mnist": "mnist-paper"}[self.dataset]
        return (
            f"study: overhead\ntask: classification\ndataset: {self.dataset}\nmodel: mnist_cnn\n"
            f"protocol: {{kind: {protocol}, epochs: {amount}}}\nseeds: {list(range(seeds))}\n"
            f"execution: {{threads: {self.threads}}}\ntrials:\n  - name: Baseline\n"
        )

    def bare(self, study: Study, amount: int, seed: int, folder: Path) -> list[str]:  # noqa: ARG002 - of a task
        """Write the request of a seed, and return the arguments for it."""
        trial = study.trials[0].trial
        request = AttemptRequest(
            "bare", "train", trial.key, trial.config, seed, trial.data, (), Execution(threads=self.threads), "/none",
            str(self.data_root),
        )  # fmt: skip
        path = folder / f"request-{seed}.json"
        path.write_text(request.to_json(), encoding="utf-8")
        return ["classification", str(path)]


@dataclass(frozen=True)
class Extent:
    """How much is measured: `runs` runs of about `seconds` each, by both sides, `rounds` times, in orders drawn by
    `seed`.
    """

    seconds: float
    runs: int
    rounds: int = 1
    seed: int = 0


def orders(rounds: int, seed: int) -> list[tuple[str, ...]]:
    """Return which side each round begins with, drawn by `seed`: each as often as the other, but for an odd round."""
    draw = random.Random(seed)  # noqa: S311 - an order, no secret
    made: list[tuple[str, ...]] = []
    while len(made) < rounds:
        first = draw.sample(_SIDES, 2)
        made += [tuple(first), tuple(reversed(first))]
    return made[:rounds]


def bench_overhead(
    name: str, task: Task, extent: Extent, *, threads: int, data_root: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return both sides' seconds, the medians over the rounds, and what the grid's are over the bare."""
    amount = max(1, round(extent.seconds / task.probe()))
    say(f"{name}: a tenth of a run by both sides, not timed")
    for side in _SIDES:
        _side(side, task, max(1, round(_WARM_UP * amount)), 1, threads, data_root)
    seconds: dict[str, list[float]] = {side: [] for side in _SIDES}
    for number, order in enumerate(orders(extent.rounds, extent.seed)):
        for side in order:
            of = f" ({number + 1} of {extent.rounds})" if extent.rounds > 1 else ""
            said = "bare" if side == "bare" else "through the driver"
            say(f"{name}: {extent.runs} runs of about {extent.seconds:g} s, {said}{of}")
            seconds[side].append(_side(side, task, amount, extent.runs, threads, data_root))
    return row(name, extent.runs, amount, seconds["bare"], seconds["grid"])


def _side(side: str, task: Task, amount: int, runs: int, threads: int, data_root: Path) -> float:
    """Return the seconds of so many runs by one side, in a folder of its own."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        study = _written(task.study(amount, runs), folder)
        if side == "bare":
            return _seconds([_bare(task, study, amount, seed, folder) for seed in range(runs)], threads)
        more = {"HARNESS_DATA": str(data_root), "HARNESS_DB": str(folder / "results" / "harness.db")}
        command = [sys.executable, "-c", _MAIN, "run", "grid", str(folder / "study.yml"), "--device", "cpu"]
        return _seconds([command], threads, more)


def row(name: str, runs: int, amount: int, bare: Sequence[float], grid: Sequence[float]) -> dict[str, Any]:
    """Return the row of a task, of the seconds of each round: the overhead is the median of the rounds', with its 95 %
    interval (Student's t of the rounds' ratios on the scale of logarithms; null of one round), and the least and the
    most of them.

    `measurable`: whether the interval lies above none. Where it reaches none, or lies below it, which no work around a
    run can do, what is seen is the machine: `noise` is how far from none the interval reaches.
    """
    overheads = [g / b - 1 for b, g in zip(bare, grid, strict=True)]
    low, high = _interval([math.log1p(overhead) for overhead in overheads])
    return {
        "task": name,
        "runs": runs,
        "amount": amount,
        "bare_seconds": median(bare),
        "grid_seconds": median(grid),
        "seconds_a_run_more": median(g - b for b, g in zip(bare, grid, strict=True)) / runs,
        "overhead": median(overheads),
        "rounds": len(overheads),
        "overhead_least": min(overheads),
        "overhead_most": max(overheads),
        "overhead_low_95": low,
        "overhead_high_95": high,
        "measurable": low is not None and low > 0,
        "noise": None if low is None or high is None else max(abs(low), abs(high)),
    }


def _interval(logs: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    if len(logs) < 2:
        return None, None
    from scipy.special import stdtrit

    middle = fmean(logs)
    reach = float(stdtrit(len(logs) - 1, (1 + _LEVEL) / 2)) * stdev(logs) / math.sqrt(len(logs))
    return math.expm1(middle - reach), math.expm1(middle + reach)


def _written(text: str, folder: Path) -> Study:
    """Write a study with the function's file beside it, and load it."""
    import harness.bench.bare as work

    (folder / "overhead_work.py").write_text(Path(str(work.__file__)).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "study.yml").write_text(text, encoding="utf-8")
    return load_study(folder / "study.yml")


def _bare(task: Task, study: Study, amount: int, seed: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "harness.bench.bare", *task.bare(study, amount, seed, folder)]


def _seconds(commands: Sequence[Sequence[str]], threads: int, more: Mapping[str, str] | None = None) -> float:
    """Return the seconds of commands one after another."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), **(more or {})}
    started = time.perf_counter()
    for command in commands:
        subprocess.run(  # noqa: S603 - our own command
            command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return time.perf_counter() - started
