"""How a call of the driver is to be carried out, and how it went."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from harness.attempt.messages import AttemptResult
from harness.base.errors import HarnessError, shortened
from harness.base.keys import canonical_json
from harness.execution.device import check_gpus, choose_device
from harness.execution.executors import Executor, check_executor, executor_kind, make_executor
from harness.execution.plan import HELD_FOR_FAILING, Plan
from harness.study.study import Study
from harness.study.study_file import ExecutorChoice

FAILED = HELD_FOR_FAILING | {"lost"}
"""States of an attempt that make a call of the driver end with exit code 1."""


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


JOBS_ELSEWHERE = 64
"""Attempts that a cluster is given at a time, if nobody says how many: those that wait wait in its queue."""


@dataclass(frozen=True)
class ChosenExecutor:
    """Who is to carry out attempts, by whose word."""

    name: str = "local"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elsewhere(self) -> bool:
        """Whether it is on other machines than this one. Raises HarnessError for an unknown executor."""
        return executor_kind(self.name).elsewhere

    @property
    def device(self) -> str:
        """What attempts compute on elsewhere: a GPU of theirs if they ask for one, or for a share of one."""
        return "cuda:0" if self.options.get("gpus") else "cpu"


def chosen_executor(studies: Sequence[Study], name: str | None, options: Mapping[str, Any]) -> ChosenExecutor:
    """Return the executor of a call: what the command line says, else what the studies say, else `local`.

    Options of the command line come to those of the studies, unless it names an executor. Raises HarnessError if the
    studies name several.
    """
    if name is not None:
        return ChosenExecutor(name, options)
    said = {study.name: study.execution.executor for study in studies if study.execution.executor is not None}
    first = next(iter(said.values()), None)
    for study, choice in said.items():
        if choice != first:
            others = f"'{next(iter(said))}' and '{study}' name different executors"
            raise HarnessError(f"{others}: run them one after the other, or give one with --executor")
    if first is None:
        return ChosenExecutor(options=options)
    return ChosenExecutor(first.kind, {**first.options, **options})


@dataclass(frozen=True)
class Options:
    """How studies are run. `threads` None shares the cores among the jobs; `limit` counts runs.

    Raises HarnessError for an unknown executor, or that cannot do what is asked of it.
    """

    db: Path
    data_root: Path
    device: str = "cpu"
    devices: tuple[str, ...] = ()  # several GPUs, among which attempts are shared out; else all run on `device`
    jobs: int = 1
    executor: str = "local"  # as `executors.executor_kind` knows it
    executor_options: Mapping[str, Any] = field(default_factory=dict)
    executor_given: bool = False  # by the command line, so that it counts for trials, too, that ask for another
    threads: int | None = None
    limit: int | None = None
    retry: frozenset[str] = frozenset()
    only: frozenset[tuple[str, int]] | None = None  # of the studies' runs these alone: trial key and seed
    from_start: bool = False  # leave checkpoints alone: every run begins at its beginning
    fail_fast: bool = False
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        check_executor(self.executor, self.jobs, self.timeout_s, self.executor_options)

    @property
    def artifacts(self) -> Path:
        """The folder of the attempts' folders, beside the database."""
        return self.results / "artifacts"

    @property
    def results(self) -> Path:
        """The folder of the database, with all that belongs to it."""
        return self.db.resolve().parent

    @property
    def elsewhere(self) -> bool:
        """Whether attempts run on other machines than this one."""
        return executor_kind(self.executor).elsewhere

    @property
    def where(self) -> str:
        """The executor with its options, as one word: attempts of one word may be made by one executor."""
        return canonical_json([self.executor, dict(self.executor_options)])

    def of_trial(self, asked: ExecutorChoice | None) -> "Options":
        """Return the options for a trial that asks for an executor of its own; the same for one that asks for none.

        Raises HarnessError for an unknown executor, or that cannot do what is asked of it.
        """
        if asked is None or self.executor_given:
            return self
        its = ChosenExecutor(asked.kind, asked.options)
        if its.elsewhere:
            device, jobs = its.device, JOBS_ELSEWHERE
        else:
            device, jobs = (choose_device("auto"), 1) if self.elsewhere else (self.device, self.jobs)
        devices = () if its.elsewhere or self.elsewhere else self.devices
        return replace(self, device=device, devices=devices, jobs=jobs, executor=its.name, executor_options=its.options)

    def executors_of(self, studies: Sequence[Study]) -> "Mapping[str, Options]":
        """Return the options of all executors that trials of some studies may have, by their `where`; this one first.

        Raises HarnessError for an unknown executor, or that cannot do what is asked of it.
        """
        asked = [item.executor for study in studies for item in study.trials if item.executor is not None]
        return {each.where: each for each in (self, *map(self.of_trial, asked))}

    def make_executor(self, slots: int, threads: int, libraries: Sequence[str]) -> Executor:
        """Return the executor."""
        return make_executor(self.executor, slots, threads, libraries, self.results, self.executor_options)

    def check(self, study: Study) -> None:
        """Raise HarnessError for a study whose processes cannot be had so: of this executor, or on these devices."""
        processes = study.execution.processes
        if processes == 1:
            return
        if self.executor == "in-process":
            raise HarnessError(f"the executor 'in-process' has one process, not the {processes} of '{study.name}'")
        if self.devices:
            raise HarnessError(f"--per-device has one GPU per run, not the {processes} of '{study.name}': leave it out")
        if self.device.startswith("cuda") and not self.elsewhere:
            check_gpus(self.device, processes)

    def threads_for(self, study: Study) -> int:
        """Return the threads of each worker: from the command line, the study, or an even share of the cores."""
        if self.elsewhere:
            return self.threads or study.execution.threads or self.executor_options.get("cpus") or 1
        return self.threads or study.execution.threads or max(1, cores() // self.jobs)


@dataclass
class Summary:
    """How a call of the driver ended. `left` and the held ones are those of the plan after it."""

    plan: Plan
    ended: dict[str, int] = field(default_factory=dict)  # attempts of this call by state
    interrupted: bool = False  # whether it was asked to stop before all was finished that it was asked for
    stopped_late: bool = False  # whether it was asked to stop, and all was finished nevertheless
    edited: bool = False  # whether it ended early, because code was edited since it was planned
    made_again: int = 0  # attempts whose machine died or was taken away, and that others followed in this call
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
        self.made_again += other.made_again
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
        return f"{runs} {by}{rest}; when that is fixed, the same command resumes {them}"

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
