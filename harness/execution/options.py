"""How a call of the driver is to be carried out, and how it went."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.attempt.messages import AttemptResult
from harness.base.errors import shortened
from harness.execution.executors import check_executor
from harness.execution.plan import HELD_FOR_FAILING, Plan
from harness.study.study import Study

FAILED = HELD_FOR_FAILING | {"lost"}
"""States of an attempt that make a call of the driver end with exit code 1."""


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """How studies are run. `threads` None shares the cores among the jobs; `limit` counts runs.

    Raises HarnessError for an executor that there is not, or that cannot do what is asked of it.
    """

    db: Path
    data_root: Path
    device: str = "cpu"
    devices: tuple[str, ...] = ()  # several GPUs, among which attempts are shared out; else all run on `device`
    jobs: int = 1
    executor: str = "local"  # one of `executors.EXECUTORS`
    threads: int | None = None
    limit: int | None = None
    retry: frozenset[str] = frozenset()
    from_start: bool = False  # leave checkpoints alone: every run begins at its beginning
    fail_fast: bool = False
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        check_executor(self.executor, self.jobs, self.timeout_s)

    @property
    def artifacts(self) -> Path:
        """The folder of the attempts' folders, beside the database."""
        return self.db.resolve().parent / "artifacts"

    def threads_for(self, study: Study) -> int:
        """Return the threads of each worker: from the command line, the study, or an even share of the cores."""
        return self.threads or study.execution.threads or max(1, cores() // self.jobs)


@dataclass
class Summary:
    """How a call of the driver ended. `left` and the held ones are those of the plan after it."""

    plan: Plan
    ended: dict[str, int] = field(default_factory=dict)  # attempts of this call by state
    interrupted: bool = False  # whether it was asked to stop before all was finished that it was asked for
    stopped_late: bool = False  # whether it was asked to stop, and all was finished nevertheless
    edited: bool = False  # whether it ended early, because code was edited since it was planned
    hindered: int = 0  # attempts that a full disk or another failure of the environment has interrupted
    hindered_by: str | None = None  # what it was, of the first of them
    blocked: bool = False  # whether it is one that every further attempt would meet

    def hinder(self, by: str, *, blocks: bool) -> None:
        """Note that a failure of the environment has interrupted an attempt, and whether no other is to begin."""
        self.hindered += 1
        self.hindered_by = self.hindered_by or by
        self.blocked = self.blocked or blocks

    def add(self, other: "Summary") -> None:
        """Count what another session of the same call made."""
        for state, count in other.ended.items():
            self.ended[state] = self.ended.get(state, 0) + count
        self.interrupted = self.interrupted or other.interrupted
        self.stopped_late = self.stopped_late or other.stopped_late
        self.hindered += other.hindered
        self.hindered_by = self.hindered_by or other.hindered_by
        self.blocked = self.blocked or other.blocked

    @property
    def hindrance(self) -> str | None:
        """What a failure of the environment did and how to go on, in a line; None if there was none."""
        if self.hindered_by is None:
            return None
        runs, them = ("1 run was", "it") if self.hindered == 1 else (f"{self.hindered} runs were", "them")
        by = f"interrupted by a failure of disk or permissions ({shortened(self.hindered_by)})"
        rest = ", and nothing else was begun" if self.blocked else ""
        return f"{runs} {by}{rest}; when that is mended, the same command resumes {them}"

    def count(self, state: str) -> None:
        """Count an attempt that ended."""
        self.ended[state] = self.ended.get(state, 0) + 1

    @property
    def failed(self) -> bool:
        """Whether something failed or was hindered now, or is held for having failed before."""
        held = self.plan.held_by_reason()
        return (
            self.hindered > 0
            or any(self.ended.get(state) for state in FAILED)
            or any(held.get(state) for state in HELD_FOR_FAILING)
        )


class Display(Protocol):
    """Where a person sees what happens."""

    def total(self, attempts: int) -> None:
        """Say how many attempts there will be."""

    def started(self, label: str, *, resumed: bool) -> None:
        """Say that an attempt begins."""

    def progress(self, label: str, state: dict[str, Any]) -> None:
        """Say how far an attempt is: epoch, epochs, step, steps, loss, metric, images_per_s."""

    def ended(self, label: str, state: str, result: AttemptResult | None, error: str | None) -> None:
        """Say how an attempt ended."""
