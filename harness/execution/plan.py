"""What is done, left and held, from the studies and what is stored; no torch, thousands of runs in a moment.

Left: runs without an accepted attempt whose last attempt is none, interrupted, lost or pruned (a search leaves alone
what it has pruned, a study resumes it), and evaluations that the accepted attempt lacks while its weights are here; a
model that is not trained needs none. Held until named in --retry: failed, oom, timeout (which then resume from their
checkpoint), crashed (its worker process died twice in a row, the second time no further than the first), stale (done
with code that has changed since and is not shown to give the same bits), weights (an evaluation whose weights are not
here). A run without an accepted attempt of its own is done if one with all evaluations counts for it by a person's
word.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Literal, get_args

from harness.attempt.checkpoints import has_checkpoint
from harness.attempt.items import ITEMS_FILE, read_items
from harness.attempt.messages import (
    CHECKPOINT_FOLDER,
    CRASHED,
    CURVE_FILE,
    REQUEST_FILE,
    WEIGHTS_FILE,
    EvaluationSpec,
    read_curve,
)
from harness.base.collection import collection_put_off
from harness.base.errors import DamagedError, HarnessError, did_you_mean
from harness.base.files import is_there
from harness.store.find import values
from harness.store.records import AttemptRecord, Snapshot
from harness.study.study import Study
from harness.study.study_file import ExecutorChoice
from harness.trial.attempt_digest import attempt_digest
from harness.trial.resolve import Trial

Held = Literal["failed", "oom", "timeout", "crashed", "stale", "weights"]
HELD: tuple[Held, ...] = get_args(Held)
HELD_STATES: frozenset[str] = frozenset({"failed", "oom", "timeout"})
"""States of a run's last attempt for which it is held."""
HELD_FOR_FAILING = HELD_STATES | {"crashed"}
_LEFT = frozenset({"interrupted", "lost", "pruned"})
_RESUMED = _LEFT | HELD_STATES
_RESUMED_IF_STALE = _LEFT | {"timeout"}  # what failed on the way to a new result begins anew with it


def held_reasons(words: Iterable[str], said: str) -> frozenset[str]:
    """Return reasons for which runs are held. Raises HarnessError for an unknown one; `said` is where it was given."""
    reasons = frozenset(word.strip() for word in words if word.strip())
    for reason in sorted(reasons - set(HELD)):
        raise HarnessError(f"{said}: unknown reason '{reason}'{did_you_mean(reason, HELD)}")
    return reasons


@dataclass(frozen=True)
class PlannedRun:
    """A run of a study and what is to be done about it."""

    study: str
    name: str
    trial: Trial
    seed: int
    status: Literal["done", "left", "held"]
    reason: Held | None = None  # why it is held, or was until it was named in --retry
    kind: Literal["train", "evaluate"] = "train"
    evaluations: tuple[EvaluationSpec, ...] = ()
    resume_from: str | None = None  # the attempt to resume from
    or_from: tuple[str, ...] = ()  # attempts that left older checkpoints, the newest first: for when its is damaged
    supersedes: str | None = None
    weights_from: str | None = None
    executor: ExecutorChoice | None = None  # that the trial asks for; None: the study's

    @property
    def label(self) -> str:
        """The run for people: study, trial and seed."""
        return f"{self.study}: {self.name}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """The runs of some studies, each run once: study by study, all trials at a seed before any at the next.

    So a study that is stopped early has its trials at the same seeds, and can be compared.
    """

    runs: tuple[PlannedRun, ...]

    def of(self, status: str) -> list[PlannedRun]:
        """Return the runs of a status."""
        return [run for run in self.runs if run.status == status]

    def held_by_reason(self) -> dict[str, int]:
        """Return how many runs are held for each reason."""
        counts: dict[str, int] = {}
        for run in self.of("held"):
            counts[str(run.reason)] = counts.get(str(run.reason), 0) + 1
        return counts

    def in_words(self) -> str:
        """Return "12 done, 1 left, 2 held (1 failed, 1 oom)"."""
        held = self.held_by_reason()
        why = f" ({', '.join(f'{count} {reason}' for reason, count in held.items())})" if held else ""
        return f"{len(self.of('done'))} done, {len(self.of('left'))} left, {sum(held.values())} held{why}"


def plan(
    studies: Iterable[Study],
    snapshot: Snapshot,
    artifacts: Path,
    retry: Collection[str] = (),
    only: Collection[tuple[str, int]] | None = None,
) -> Plan:
    """Plan the runs of studies, or `only` some of them (trial key, seed).

    Of a study whose seeds run until its claims are decided: those up to the next look.

    `artifacts` holds the attempts' folders; `retry`: reasons that no longer hold.
    """
    with collection_put_off():
        studies = [at_next_look(study, snapshot) for study in studies]
        attempts: defaultdict[tuple[str, int], list[AttemptRecord]] = defaultdict(list)
        for attempt in snapshot.attempts:
            attempts[attempt.trial_key, attempt.seed].append(attempt)
        there = _There(snapshot, artifacts, retry)
        wanted = _wanted(studies).items()
        return Plan(tuple(_planned(base, there, attempts[r]) for r, base in wanted if only is None or r in only))


def at_next_look(study: Study, snapshot: Snapshot) -> Study:
    """Return a study with the seeds that its claims need for now, if its seeds run until they are decided."""
    if study.until is None:
        return study
    from harness.report.claims.until_decided import seeds_needed

    needed = seeds_needed(study, snapshot)
    trials = (replace(item, seeds=item.seeds[: needed[item.trial.key]]) for item in study.trials)
    return replace(study, trials=tuple(trials))


def _wanted(studies: Iterable[Study]) -> dict[tuple[str, int], PlannedRun]:
    """Return the runs that studies ask for, each once, as if all of them were done: what is not is said otherwise."""
    wanted: dict[tuple[str, int], PlannedRun] = {}
    for study in studies:
        chosen = study.chosen
        for number in range(max((len(item.seeds) for item in chosen), default=0)):
            for item in chosen:
                if number < len(item.seeds):
                    run = (item.trial.key, item.seeds[number])
                    base = wanted.get(run)
                    if base is None:
                        new = PlannedRun(study.name, item.name, item.trial, run[1], "done", executor=item.executor)
                        wanted[run] = new
                    elif base.trial.evaluations != item.trial.evaluations:
                        wanted[run] = replace(base, trial=_united(base.trial, item.trial))
    return wanted


@dataclass(frozen=True)
class _There:
    """What a plan is made from, beside the runs that are asked for."""

    snapshot: Snapshot
    artifacts: Path
    retry: Collection[str]
    digests: dict[tuple[str, str], str] = field(default_factory=dict)  # of the code of a trial's attempt on a device

    def is_of_todays_code(self, run: AttemptRecord, trial: Trial) -> bool:
        """Return whether a run was made by the code that an attempt at the trial would run now."""
        place = trial.key, run.device
        if place not in self.digests:
            self.digests[place] = attempt_digest(trial.config, trial.data, device=run.device)
        return run.is_of(self.digests[place])


def _planned(base: PlannedRun, there: _There, attempts: Sequence[AttemptRecord]) -> PlannedRun:
    run = there.snapshot.runs(base.trial.key).get(base.seed)
    if run is None or not run.by_word:
        return _decide(base, there, attempts)
    if not there.is_of_todays_code(run, base.trial):
        return _held(base, "stale", there.retry)
    if not _not_evaluated(base, run, there.snapshot):
        return base
    return _decide(base, there, attempts)


def _not_evaluated(base: PlannedRun, run: AttemptRecord, snapshot: Snapshot) -> tuple[EvaluationSpec, ...]:
    """Return the evaluations of a run of which nothing is stored, by the attempt that counts or later."""
    evaluated = {key for key, _ in values(snapshot, run)}
    return tuple(evaluation for evaluation in base.trial.evaluations if evaluation.key not in evaluated)


def _united(trial: Trial, other: Trial) -> Trial:
    """Return a trial with the evaluations that two studies ask of it."""
    by_key = {evaluation.key: evaluation for evaluation in (*trial.evaluations, *other.evaluations)}
    return replace(trial, evaluations=tuple(by_key.values()))


def _decide(base: PlannedRun, there: _There, attempts: Sequence[AttemptRecord]) -> PlannedRun:
    artifacts, retry = there.artifacts, there.retry
    accepted = next((a for a in attempts if a.accepted), None)
    if accepted is not None:
        return _accepted(base, accepted, there, attempts)
    trained = [a for a in attempts if a.kind == "train"]
    last = trained[-1] if trained else None
    if last is None:
        return _train(base)
    resumed = _resuming(base, trained, artifacts, _RESUMED)
    if _crashes_again(trained, artifacts):
        return _held(resumed, "crashed", retry)
    if last.state in _LEFT:
        return _train(resumed)
    if last.state in HELD_STATES:
        reason: Held = last.state  # type: ignore[assignment]
        return _held(resumed, reason, retry)
    return _train(base)


def _accepted(
    base: PlannedRun, accepted: AttemptRecord, there: _There, attempts: Sequence[AttemptRecord]
) -> PlannedRun:
    """Decide about a run that has an accepted attempt: stale, evaluations missing, or done."""
    artifacts, retry = there.artifacts, there.retry
    missing = _not_evaluated(base, accepted, there.snapshot)
    if not there.is_of_todays_code(accepted, base.trial):
        return _resumed_superseding(base, accepted, attempts, artifacts, "stale", retry)
    if not missing:
        return base
    if base.trial.is_untrained or is_there(artifacts / accepted.uid / WEIGHTS_FILE):
        todo = replace(base, status="left", kind="evaluate", evaluations=missing, weights_from=accepted.uid)
        tried = [a for a in attempts if a.kind == "evaluate" and a.weights_from == accepted.uid]
        if base.trial.is_untrained:
            todo = _resuming(todo, tried, artifacts, _RESUMED)
        again = _crashes_again(tried, artifacts)
        if not again and (not tried or tried[-1].state not in HELD_STATES):
            return todo
        failed: Held = "crashed" if again else tried[-1].state  # type: ignore[assignment]
        return replace(todo, status="left" if failed in retry else "held", reason=failed)
    return _resumed_superseding(base, accepted, attempts, artifacts, "weights", retry)


def _resumed_superseding(
    base: PlannedRun,
    accepted: AttemptRecord,
    attempts: Sequence[AttemptRecord],
    artifacts: Path,
    reason: Held,
    retry: Collection[str],
) -> PlannedRun:
    """Hold a run, or, named in --retry, train it anew in place of what is accepted."""
    newer = [a for a in attempts if a.kind == "train" and a.supersedes == accepted.uid]
    resumed = _resuming(base, newer, artifacts, _RESUMED_IF_STALE if reason == "stale" else _RESUMED)
    return _held(replace(resumed, supersedes=accepted.uid), reason, retry)


_MOST_CRASHES = 5  # in a row, of a run whose checkpoints alone say that it gets further


def _crashes_again(attempts: Sequence[AttemptRecord], artifacts: Path) -> bool:
    """Return whether the last two attempts crashed, the second no further than the first.

    A crash is the death of a worker: one that died with its driver, or was ended by it, is none. How far it came is
    the last step of its curve; without a curve, a checkpoint of its own shows that it got further.
    """
    in_a_row = list(takewhile(lambda a: a.state == "lost" and a.error_kind == CRASHED, reversed(attempts)))
    if len(in_a_row) < 2:
        return False
    later, earlier = (artifacts / attempt.uid for attempt in in_a_row[:2])
    steps = _last_step(later), _last_step(earlier)
    if max(steps) >= 0:
        return steps[0] <= steps[1]
    return len(in_a_row) >= _MOST_CRASHES or not _wrote_checkpoint(later)


def _last_step(folder: Path) -> int:
    """Return the last step of an attempt's curve, or the items that it evaluated; -1 if none can be read."""
    try:
        items = read_items(folder / ITEMS_FILE)
        if items is not None:
            return items.done
        return max((point.step for point in read_curve(folder / CURVE_FILE)), default=-1)
    except (OSError, DamagedError):
        return -1


def _wrote_checkpoint(folder: Path) -> bool:
    """Return whether a function wrote into its checkpoint folder, which it may have taken over from another attempt."""
    try:
        begun = (folder / REQUEST_FILE).stat().st_mtime_ns
        return any(
            path.stat().st_mtime_ns > begun
            for path in (folder / CHECKPOINT_FOLDER).iterdir()
            if not path.name.startswith(".")
        )
    except OSError:
        return False


def _resuming(
    base: PlannedRun, trained: Sequence[AttemptRecord], artifacts: Path, states: Collection[str]
) -> PlannedRun:
    """Let a run resume from the newest attempt that left a checkpoint, of the last ones that are in some states.

    An attempt that died before it wrote one does not hide the checkpoint of that before it; one that began afresh does.
    """
    left: list[str] = []
    for attempt in takewhile(lambda attempt: attempt.state in states, reversed(trained)):
        if has_checkpoint(artifacts / attempt.uid):
            left.append(attempt.uid)
        if attempt.resumed_from is None:
            break
    return replace(base, resume_from=next(iter(left), None), or_from=tuple(left[1:]))


def _held(run: PlannedRun, reason: Held, retry: Collection[str]) -> PlannedRun:
    """Hold a run, unless its reason is named in --retry."""
    if reason in retry:
        return replace(_train(run), reason=reason)
    return replace(run, status="held", reason=reason, resume_from=None, or_from=(), supersedes=None)


def _train(run: PlannedRun) -> PlannedRun:
    return replace(run, status="left", evaluations=run.trial.evaluations)
