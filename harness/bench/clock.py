"""What all benchmarks share: timing candidates in turn, medians and ratios, the machine, and the file of a benchmark.

Machines drift, so what is compared is timed in turn, call by call, and only ratios within one process are published.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness.base.files import atomic_write
from harness.base.processor import processor_name

Clock = Callable[[], float]
Measure = Callable[[Callable[[], object]], tuple[float, object]]  # a call → its seconds, and what it returned
BENCHMARKS = ("ops", "ops-gpu", "epoch", "epoch-gpu", "overhead", "store", "startup")


@dataclass(frozen=True)
class Timed:
    """Seconds of each call, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the calls."""
        return median(self.seconds)


def timed(work: Callable[[], object], clock: Clock = time.perf_counter) -> tuple[float, object]:
    """Return the seconds of one call, and what it returned: it is let go of after the clock was read."""
    started = clock()
    kept = work()
    return clock() - started, kept


def in_turn(
    candidates: Mapping[str, Callable[[], object]],
    repetitions: int,
    *,
    seconds: float = 0.0,
    warm_up: int = 1,
    clock: Clock = time.perf_counter,
    measure: Measure | None = None,
) -> dict[str, Timed]:
    """Time candidates strictly in turn, a call of each after a call of each, after `warm_up` such rounds.

    There are `repetitions` rounds, and further ones until all have taken `seconds`: a few calls of a tenth of a
    millisecond would all meet the same neighbour. `measure` stands in for `timed` with the clock, if another device
    does the work.
    """
    measure = measure or partial(timed, clock=clock)
    found: dict[str, list[float]] = {name: [] for name in candidates}
    spent, number = 0.0, 0
    while number < warm_up + repetitions or spent < seconds:
        for name, work in candidates.items():
            took, _ = measure(work)
            if number >= warm_up:
                found[name].append(took)
                spent += took
        number += 1
    return {name: Timed(tuple(values)) for name, values in found.items()}


def shape_text(shape: Sequence[int]) -> str:
    """Return "100×32×28×28"."""
    return "×".join(map(str, shape))


def use_threads(threads: int) -> int:
    """Let torch use so many threads; return how many."""
    import torch

    torch.set_num_threads(threads)
    return threads


def machine(threads: int | None = None) -> dict[str, Any]:
    """Return what a figure depends on: processor, cores, threads, versions, date. Nothing of the machine's owner."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads or torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).date().isoformat(),
    }


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]], threads: int | None = None) -> Path:
    """Write a benchmark's rows with the machine and the command that made them; return the file.

    Of absolute paths in the command there is the name alone: it is published. What was measured on a GPU is a benchmark
    of its own, beside that of the CPU.
    """
    if any(str(row.get("device", "cpu")).startswith("cuda") for row in rows):
        name = f"{name}-gpu"
    command = " ".join(["harness", *map(_without_folders, sys.argv[1:])])
    found = {"benchmark": name, "command": command, "machine": machine(threads), "rows": list(rows)}
    path = folder / f"{name}.json"
    atomic_write(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return path


def _without_folders(word: str) -> str:
    """Return "--out=figures" of "--out=/home/someone/figures"."""
    option, equals, value = word.rpartition("=")
    path = Path(value)
    return f"{option}{equals}{path.name}" if path.is_absolute() else word
