"""`harness bench overhead`: a grid through the driver against the same work with nothing around it.

Both sides are whole commands, from the start of the process to its end: `harness run grid` with its store, curves and
checkpoints for `runs` seeds, and `python -m harness.bench.bare` once a seed, as a person's own loop over a script. How
much work a run is follows from a first bare run of a little of it, scaled to the seconds that were asked for. The sides
alternate, so that what else a machine does in a minute falls on both.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from harness.bench.bare import run as function
from harness.spec.attempt import AttemptRequest, Execution
from harness.spec.study import Study, load_study

_MAIN = "import sys; from harness.cli import main; sys.argv[0] = 'harness'; main()"
_PROBE_ROUNDS = 200


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
    """How much is measured: `runs` runs of about `seconds` each, by both sides in turn, `rounds` times."""

    seconds: float
    runs: int
    rounds: int = 1


def bench_overhead(
    name: str, task: Task, extent: Extent, *, threads: int, data_root: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return both sides' seconds, the medians over the rounds, and what the grid's are over the bare."""
    amount = max(1, round(extent.seconds / task.probe()))
    bare, grid = [], []
    for number in range(extent.rounds):
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            study = _written(task.study(amount, extent.runs), folder)
            of = f" ({number + 1} of {extent.rounds})" if extent.rounds > 1 else ""
            say(f"{name}: {extent.runs} runs of about {extent.seconds:g} s, bare{of}")
            bare.append(_seconds([_bare(task, study, amount, seed, folder) for seed in range(extent.runs)], threads))
            say(f"{name}: the same through the driver{of}")
            more = {"HARNESS_DATA": str(data_root), "HARNESS_DB": str(folder / "results" / "harness.db")}
            command = [sys.executable, "-c", _MAIN, "run", "grid", str(folder / "study.yml"), "--device", "cpu"]
            grid.append(_seconds([command], threads, more))
    return row(name, extent.runs, amount, bare, grid)


def row(name: str, runs: int, amount: int, bare: Sequence[float], grid: Sequence[float]) -> dict[str, Any]:
    """Return the row of a task, of the seconds of each round; the overhead is the median of the rounds', beside the
    least and the most of them.
    """
    overheads = [g / b - 1 for b, g in zip(bare, grid, strict=True)]
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
    }


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
