"""What is done, left and held, from the studies and what is stored; no torch, thousands of runs in a moment.

Left: runs without an accepted attempt whose last attempt is none, interrupted, lost or pruned (a search leaves alone
what it has pruned, a study goes on with it), and evaluations that the accepted attempt lacks while its weights are
here. Held until named in --retry: failed, oom, timeout (which then goes on from its checkpoint), stale (done with code
that has changed since and is not shown to give the same bits), weights (an evaluation whose weights are not here).
A run without an accepted attempt of its own is done if one with all evaluations counts for it by a person's word.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from harness.spec.attempt import WEIGHTS_FILE, EvaluationSpec, has_checkpoint
from harness.spec.code import attempt_digest
from harness.spec.errors import HarnessError, did_you_mean
from harness.spec.resolve import Trial
from harness.spec.study import Study
from harness.store.find import values
from harness.store.records import AttemptRecord, Snapshot

Held = Literal["failed", "oom", "timeout", "stale", "weights"]
HELD: tuple[Held, ...] = get_args(Held)
HELD_FOR_FAILING: frozenset[str] = frozenset({"failed", "oom", "timeout"})
_LEFT = frozenset({"interrupted", "lost", "pruned"})
_GONE_ON_WITH = _LEFT | {"timeout"}


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
    resume_from: str | None = None  # the attempt to go on from
    supersedes: str | None = None
    weights_from: str | None = None

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


def plan(studies: Iterable[Study], snapshot: Snapshot, artifacts: Path, retry: Collection[str] = ()) -> Plan:
    """Plan the runs of studies. `artifacts` holds the attempts' folders; `retry`: reasons that no longer hold."""
    attempts: defaultdict[tuple[str, int], list[AttemptRecord]] = defaultdict(list)
    for attempt in snapshot.attempts:
        attempts[attempt.trial_key, attempt.seed].append(attempt)
    planned: dict[tuple[str, int], PlannedRun] = {}
    for study in studies:
        for number in range(max((len(item.seeds) for item in study.chosen), default=0)):
            for item in study.chosen:
                if number < len(item.seeds):
                    run = (item.trial.key, item.seeds[number])
                    base = planned.setdefault(run, PlannedRun(study.name, item.name, item.trial, run[1], "left"))
                    planned[run] = replace(base, trial=_united(base.trial, item.trial))
    return Plan(tuple(_planned(base, snapshot, attempts[run], artifacts, retry) for run, base in planned.items()))


def _planned(
    base: PlannedRun, snapshot: Snapshot, attempts: Sequence[AttemptRecord], artifacts: Path, retry: Collection[str]
) -> PlannedRun:
    run = snapshot.runs(base.trial.key).get(base.seed)
    if run is None or not run.by_word:
        return _decide(base, attempts, artifacts, retry)
    if not run.is_of(attempt_digest(base.trial.config, base.trial.data, device=run.device)):
        return _held(base, "stale", retry)
    evaluated = {key for key, _ in values(snapshot, run)}
    if all(evaluation.key in evaluated for evaluation in base.trial.evaluations):
        return replace(base, status="done")
    return _decide(base, attempts, artifacts, retry)


def _united(trial: Trial, other: Trial) -> Trial:
    """Return a trial with the evaluations that two studies ask of it."""
    if trial.evaluations == other.evaluations:
        return trial
    by_key = {evaluation.key: evaluation for evaluation in (*trial.evaluations, *other.evaluations)}
    return replace(trial, evaluations=tuple(by_key.values()))


def _decide(base: PlannedRun, attempts: Sequence[AttemptRecord], artifacts: Path, retry: Collection[str]) -> PlannedRun:
    accepted = next((a for a in attempts if a.accepted), None)
    if accepted is not None:
        return _accepted(base, accepted, attempts, artifacts, retry)
    trained = [a for a in attempts if a.kind == "train"]
    last = trained[-1] if trained else None
    if last is None:
        return _train(base)
    resume = _with_checkpoint(trained, artifacts)
    if last.state in _LEFT:
        return _train(base, resume_from=resume)
    if last.state in HELD_FOR_FAILING:
        reason: Held = last.state  # type: ignore[assignment]
        return _held(base, reason, retry, resume_from=resume)
    return _train(base)


def _accepted(
    base: PlannedRun,
    accepted: AttemptRecord,
    attempts: Sequence[AttemptRecord],
    artifacts: Path,
    retry: Collection[str],
) -> PlannedRun:
    """Decide about a run that has an accepted attempt: stale, evaluations missing, or done."""
    if not accepted.is_of(attempt_digest(base.trial.config, base.trial.data, device=accepted.device)):
        return _resumed_superseding(base, accepted, attempts, artifacts, "stale", retry)
    evaluated = {key for a in attempts if a is accepted or a.weights_from == accepted.uid for key, _ in a.results}
    missing = tuple(e for e in base.trial.evaluations if e.key not in evaluated)
    if not missing:
        return replace(base, status="done")
    if (artifacts / accepted.uid / WEIGHTS_FILE).exists():
        todo = replace(base, status="left", kind="evaluate", evaluations=missing, weights_from=accepted.uid)
        tried = [a.state for a in attempts if a.kind == "evaluate" and a.weights_from == accepted.uid]
        if not tried or tried[-1] not in HELD_FOR_FAILING:
            return todo
        failed: Held = tried[-1]  # type: ignore[assignment]
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
    resume = _with_checkpoint(newer, artifacts)
    return _held(base, reason, retry, supersedes=accepted.uid, resume_from=resume)


def _with_checkpoint(trained: Sequence[AttemptRecord], artifacts: Path) -> str | None:
    """Return the attempt to go on from: the newest that left a checkpoint, of those that ended last without an end.

    An attempt that died before it wrote one does not hide the checkpoint of that before it.
    """
    for attempt in reversed(trained):
        if attempt.state not in _GONE_ON_WITH:
            return None
        if has_checkpoint(artifacts / attempt.uid):
            return attempt.uid
    return None


def _held(
    base: PlannedRun,
    reason: Held,
    retry: Collection[str],
    *,
    supersedes: str | None = None,
    resume_from: str | None = None,
) -> PlannedRun:
    if reason in retry:
        return replace(
            base,
            status="left",
            reason=reason,
            evaluations=base.trial.evaluations,
            supersedes=supersedes,
            resume_from=resume_from,
        )
    return replace(base, status="held", reason=reason)


def _train(base: PlannedRun, resume_from: str | None = None) -> PlannedRun:
    return replace(base, status="left", evaluations=base.trial.evaluations, resume_from=resume_from)
