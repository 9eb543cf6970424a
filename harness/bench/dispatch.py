"""`harness bench dispatch`: what the harness spends on a run of a cheap function, from the grid to the store.

The function takes a millisecond and reports 100 points of a curve, so that nearly all is the harness: the driver, the
server of workers, a worker per run. Processor time counts all of them and, unlike seconds, not what else the machine
does. The first call has one run, whose cost is that of starting; what the others cost is the rest.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.bench.store import command

_STUDY = """\
study: dispatch
task: function
target: cheap.py:run
metrics: {{loss: minimize}}
seeds: [0]
trials:
  - {{name: "number {{arguments.number}}", grid: {{arguments.number: {numbers}}}}}
"""
_CHEAP = """\
import time


def run(context, *, number):
    until = time.perf_counter() + 0.001
    for step in range(100):
        context.report(step, loss=1 / (step + 1))
    while time.perf_counter() < until:
        pass
    return {"loss": 1 / (number + 1)}
"""


@dataclass(frozen=True)
class DispatchRow:
    """What some runs took beyond the first."""

    runs: int
    jobs: int
    seconds: float
    runs_per_s: float
    cpu_ms_per_run: float
    runs_per_s_and_core: float  # if a core did nothing else


def bench_dispatch(runs: int, jobs: int) -> DispatchRow:
    """Make so many runs of a cheap function, side by side as `--jobs` says, in a store of their own."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text).resolve()
        (folder / "cheap.py").write_text(_CHEAP, encoding="utf-8")

        def made(count: int) -> tuple[float, float]:
            file = folder / f"{count}.yml"
            file.write_text(_STUDY.format(numbers=list(range(count))), encoding="utf-8")
            words = ["run", "grid", file.name, "--device", "cpu", "--jobs", str(jobs)]
            spent = command(words, folder, folder / f"{count}" / "harness.db")
            return spent.seconds, spent.cpu_s

        first_s, first_cpu_s = made(1)
        seconds, cpu_s = made(runs + 1)
    seconds, each_s = seconds - first_s, (cpu_s - first_cpu_s) / runs
    return DispatchRow(runs, jobs, seconds, runs / seconds, 1000 * each_s, 1 / each_s)
