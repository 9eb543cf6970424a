"""`timing` attempts: one at a time, alone on the device, for the trials that have none yet.

A call is one session. It times every trial once per round, in an order drawn for each round, so that a machine
that gets warm, or busy, does so for all trials alike; the session is recorded with each attempt.
"""

import os
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.execution.driver import run_feed
from harness.execution.intake import recover
from harness.execution.jobs import Job, make_request
from harness.execution.libraries import libraries_of
from harness.execution.options import Display, Options, Summary
from harness.execution.plan import Plan
from harness.execution.register import add_studies, check_runnable
from harness.store.connection import driver_lock, open_store
from harness.store.queries import snapshot
from harness.store.records import AttemptRecord, Snapshot
from harness.study.study import Study, StudyTrial
from harness.trial.attempt_digest import attempt_digest
from harness.trial.trial import Trial

_SETTINGS = ("deterministic", "memory_format", "kernels", "order", "compile", "capture", "processes")
_COUNT = "train_s_per_epoch_count"


@dataclass(frozen=True)
class Repeats:
    """How often each trial is timed in a session: so many rounds, as long as a trial has not taken `at_most_s`.

    A function is called once: what it does is not known to be short.
    """

    rounds: int = 3
    at_most_s: float = 600.0
    warm_up_steps: int | None = None  # before each repetition; the design's, if None

    def of(self, trial: Trial) -> int:
        """Return the rounds of a trial."""
        return 1 if trial.is_function else self.rounds

    def options(self) -> dict[str, Any]:
        """Return the options of one repetition."""
        warm_up = {} if self.warm_up_steps is None else {"warm_up_steps": self.warm_up_steps}
        return {"epochs": 1, "tests": 1, **warm_up}


@dataclass(frozen=True)
class Timed:
    """How a session went: the driver's summary, the trials that were timed, and those left out as timed before."""

    summary: Summary
    trials: int
    before: int


@dataclass
class Rounds:
    """A feed of a session's attempts. Everything about the order follows from the session's name."""

    jobs: Sequence[Job]  # one per trial
    rounds: Mapping[str, int]  # by the trial's key
    session: str
    at_most_s: float
    spent: dict[str, float] = field(default_factory=dict)  # seconds, by trial
    last: dict[str, float] = field(default_factory=dict)  # of its newest repetition
    given_up: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    _round: int = 0
    _queue: list[Job] = field(default_factory=list)
    _begun: float = 0.0

    def __post_init__(self) -> None:
        """Draw orders by the session's name."""
        self._draw = random.Random(self.session)  # noqa: S311 - an order, no secret

    @property
    def expected(self) -> int:
        """How many attempts there will be at most."""
        return sum(self.rounds[job.request.trial_key] for job in self.jobs)

    @property
    def exhausted(self) -> bool:
        """Whether every trial has had its repetitions, or was given up."""
        return not self._queue and not any(self._has_more(job) for job in self.jobs)

    def take(self) -> Job | None:
        """Return the next repetition: the rest of this round, then the next round in another order."""
        if not self._queue:
            self._queue = [job for job in self.jobs if self._has_more(job)]
            self._draw.shuffle(self._queue)
            self._round += 1
        if not self._queue:
            return None
        self._begun = time.monotonic()
        return _repetition(self._queue.pop(), self.session)

    def _has_more(self, job: Job) -> bool:
        key = job.request.trial_key
        if self._round >= self.rounds[key] or key in self.given_up:
            return False
        return self._round == 0 or self.spent[key] + self.last[key] <= self.at_most_s

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:  # noqa: ARG002 - part of a feed
        """Prune nothing."""
        return False

    def ended(self, job: Job, state: str) -> None:
        """Note what a repetition took; a trial that does not run is not tried again."""
        key, took = job.request.trial_key, time.monotonic() - self._begun
        self.spent[key], self.last[key] = self.spent.get(key, 0.0) + took, took
        (self.done if state == "done" else self.given_up).add(key)


def _repetition(job: Job, session: str) -> Job:
    """Return an attempt of its own of a trial's timing."""
    request, uid = job.request, uuid.uuid4().hex
    execution = replace(request.execution, session=session)
    folder = str(Path(request.folder).parent / uid)
    return replace(job, request=replace(request, uid=uid, folder=folder, execution=execution))


def run_timing(studies: Sequence[Study], options: Options, display: Display, *, again: bool, repeats: Repeats) -> Timed:
    """Time each trial of studies that was not timed on this device with today's code, or each one `again`."""
    check_runnable([item.trial for study in studies for item in study.chosen], options.data_root, options.device)
    with driver_lock(options.db), open_store(options.db) as store:
        recover(store, options.artifacts)
        add_studies(store, studies)
        found = snapshot(store)
        chosen = {item.trial.key: (item, study) for study in studies for item in study.chosen}
        left = [
            (item, study)
            for item, study in chosen.values()
            if again or not _timed(item, study, options, found, repeats)
        ]
        before = len(chosen) - len(left)
        left = left[: options.limit]
        jobs = [_job(item, study, options, repeats) for item, study in left]
        if not jobs:
            return Timed(Summary(Plan(())), 0, before)
        threads = max(job.request.execution.threads for job in jobs)
        meant = [job.request for job in jobs]
        libraries = libraries_of(((r.config, r.plugin_paths) for r in meant), (r.execution for r in meant))
        rounds = {item.trial.key: repeats.of(item.trial) for item, _ in left}
        feed = Rounds(jobs, rounds, uuid.uuid4().hex, repeats.at_most_s)
        with options.make_executor(1, threads, libraries) as executor:
            summary = run_feed(feed, store, executor, options, display)
        return Timed(summary, len(feed.done), before)


def _job(item: StudyTrial, study: Study, options: Options, repeats: Repeats) -> Job:
    label = f"{study.name}: {item.name}, timing"
    tested = item.trial.evaluations if item.trial.is_untrained else ()
    request = make_request(
        "timing", item.trial, item.seeds[0], label, study, options, more=repeats.options(), evaluations=tested
    )
    return Job(request, exclusive=True)


def composed(study: Study, kernels: str | None) -> Study:
    """Return a study with other kernels, plain torch's ("torch") in the order that the paper writes; None: as it is."""
    if kernels is None:
        return study
    order = "as_written" if kernels == "torch" else "auto"
    return replace(study, execution=study.execution.model_copy(update={"kernels": kernels, "order": order}))


def _timed(item: StudyTrial, study: Study, options: Options, found: Snapshot, repeats: Repeats) -> bool:
    """Return whether a trial has all its repetitions in a session by today's code, with these threads, on this
    device: a session that was interrupted does not count.
    """

    def recorded(timing: AttemptRecord, name: str) -> Any:
        return timing.execution.get(name, 1 if name == "processes" else None)  # there was one before several could be

    digest = attempt_digest(item.trial.config, item.trial.data, "timing", options.device)
    by_session: dict[str, list[AttemptRecord]] = {}
    for timing in found.timings(item.trial.key):
        if (
            timing.code_digest == digest
            and timing.execution.get("device") == options.device
            and timing.threads == options.threads_for(study)
            and all(recorded(timing, name) == getattr(study.execution, name) for name in _SETTINGS)
        ):
            by_session.setdefault(timing.execution.get("session") or timing.uid, []).append(timing)
    rounds = repeats.of(item.trial)
    whole = [own for own in by_session.values() if _is_whole(own, rounds, repeats.at_most_s)]
    if not whole:
        return False
    from harness.training.environment import device_name

    here = device_name(options.device)
    return any(own[0].environment.get("device") == here for own in whole)


def _is_whole(timings: Sequence[AttemptRecord], rounds: int, at_most_s: float) -> bool:
    """Return whether a session repeated a trial so often, or as often as the time allowed."""
    if sum(int(timing.measures.get(_COUNT, 1)) for timing in timings) >= rounds:
        return True
    seconds = [timing.seconds or 0.0 for timing in timings]
    return sum(seconds) + seconds[-1] > at_most_s


def load_per_core() -> float | None:
    """Return how busy the machine was in the last minute, 1 being every core; None if it is not known."""
    return os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None
