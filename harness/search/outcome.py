"""What the store knows of a placement: its outcome over the search's seeds, or that it has none yet.

The value is the first objective's, the mean over the seeds: the task's primary metric on the validation split at the
last epoch, or what a function returned. If it is not a finite number with one seed, the placement diverged (`nan`):
it is told to a sampler as the worst there can be, and is never on a front.
Values that were found with other code than today's count, and are said to be such.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

from harness.attempt.messages import Point, unflagged
from harness.execution.plan import HELD_FOR_FAILING, PlannedRun, plan
from harness.search.file import Search
from harness.search.space import Placement
from harness.store.connection import Store
from harness.store.queries import curve
from harness.store.records import AttemptRecord, Snapshot
from harness.study.study import Study, StudyTrial
from harness.trial.resolve import Trial


@dataclass(frozen=True)
class Outcome:
    """How the runs of a placement ended."""

    state: Literal["value", "nan", "failed", "pruned"]
    values: Mapping[int, float]  # of the first objective by seed; nan if the network diverged
    attempts: tuple[str, ...] = ()  # the accepted ones
    epochs: tuple[float, ...] = ()  # the first seed's values after each epoch, for a pruner
    stale: bool = False  # found with other code
    also: Mapping[str, float] = field(default_factory=dict)  # the means of further objectives that are measured

    @property
    def mean(self) -> float:
        """The mean over the seeds; nan if there is none."""
        return fmean(self.values.values()) if self.values else math.nan


def study_of(search: Search, placements: Mapping[Placement, Sequence[int]]) -> Study:
    """Return the study of a search with these placements, each with its seeds."""
    items = tuple(
        StudyTrial(search.space.words(placement), position, search.space.trial(placement), tuple(seeds))
        for position, (placement, seeds) in enumerate(placements.items())
    )
    return Study(
        name=search.name,
        description=search.description,
        trials=items,
        execution=search.execution,
        spec_yaml=search.spec_yaml,
        file=search.file,
        plugin_folders=tuple(search.space.plugin_folders),
    )


def planned(
    search: Search,
    placements: Mapping[Placement, Sequence[int]],
    found: Snapshot,
    artifacts: Path,
    retry: Collection[str] = (),
) -> dict[Placement, list[PlannedRun]]:
    """Return each placement's runs at its seeds, and what is to be done about them."""
    by_key: dict[str, list[PlannedRun]] = {}
    for run in plan([study_of(search, placements)], found, artifacts, retry).runs:
        by_key.setdefault(run.trial.key, []).append(run)
    return {placement: by_key[search.space.trial(placement).key] for placement in placements}


class Reader:
    """Reads outcomes from one snapshot of the store."""

    def __init__(self, store: Store, found: Snapshot, metrics: Sequence[str]) -> None:
        self._store, self._metrics = store, metrics
        self._found = found
        self._evaluated = {a.weights_from: a for a in found.attempts if a.kind == "evaluate" and a.state == "done"}
        self._trained = {(a.trial_key, a.seed): a for a in found.attempts if a.kind == "train"}  # the last of each run

    def outcome(self, runs: Sequence[PlannedRun], *, prunes: bool) -> Outcome | None:
        """Return the outcome of a placement by its runs, or None if something is left to be run."""
        outcome = self._outcome(runs, prunes)
        if outcome is None or not prunes or outcome.state in {"failed", "nan"}:
            return outcome
        trial, seed = runs[0].trial, runs[0].seed
        attempt = self._accepted(trial, seed) or self._trained.get((trial.key, seed))
        points = curve(self._store, attempt.uid) if attempt else ()
        return replace(outcome, epochs=epochs_of(trial, self._metrics[0], points))

    def value(self, trial: Trial, seed: int, metric: str | None = None) -> float | None:
        """Return what an accepted run found, of the first objective; nan if it diverged; None: not known."""
        accepted = self._accepted(trial, seed)
        if accepted is None:
            return None
        if accepted.state == "nan":
            return math.nan
        place = (trial.evaluations[0].key, metric or self._metrics[0])
        evaluated: AttemptRecord = self._evaluated.get(accepted.uid, accepted)
        return accepted.results.get(place, evaluated.results.get(place))

    def _accepted(self, trial: Trial, seed: int) -> AttemptRecord | None:
        return self._found.runs(trial.key).get(seed)

    def _outcome(self, runs: Sequence[PlannedRun], prunes: bool) -> Outcome | None:
        if any(run.status == "held" and run.reason in HELD_FOR_FAILING for run in runs):
            return Outcome("failed", {})
        left = [run for run in runs if run.status == "left"]
        if prunes and any(self._was_pruned(run) for run in left):
            return Outcome("pruned", {})
        if left:
            return None
        values = {metric: self._values(runs, metric) for metric in self._metrics}
        if any(len(known) < len(runs) for known in values.values()):  # weights are not here: it cannot be evaluated
            return Outcome("failed", {})
        first, *others = values
        return Outcome(
            "value" if all(math.isfinite(v) for known in values.values() for v in known.values()) else "nan",
            values[first],
            tuple(a.uid for run in runs if (a := self._accepted(run.trial, run.seed)) is not None),
            stale=any(run.reason == "stale" for run in runs),
            also={metric: fmean(values[metric].values()) for metric in others},
        )

    def _values(self, runs: Sequence[PlannedRun], metric: str) -> dict[int, float]:
        """Return the values that are known, by seed."""
        found = {run.seed: self.value(run.trial, run.seed, metric) for run in runs}
        return {seed: value for seed, value in found.items() if value is not None}

    def _was_pruned(self, run: PlannedRun) -> bool:
        last = self._trained.get((run.trial.key, run.seed))
        return last is not None and last.state == "pruned"


def epochs_of(trial: Trial, metric: str, points: Sequence[Point]) -> tuple[float, ...]:
    """Return a metric on the evaluated split after each epoch, or each step of a function, that a curve holds."""
    split = trial.evaluations[0].split
    by_step = {p.step: unflagged(p.value, p.flag) for p in points if p.split == split and p.name == metric}
    return tuple(by_step[step] for step in sorted(by_step))
