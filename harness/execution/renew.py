"""What is stored by code that has changed since: shown to be today's by one run with the same bits, or made again.

A digest changes with every change of a program, also one that computes the same. So of all runs by one old digest, the
one that took the least time is repeated on the same model of device. If its weights and results are the same, bit by
bit, the two digests count as one (`harness.store.queries.same_code`), and the other runs stay. If they differ, these
are made again, too. Runs of other models of device cannot be shown to be anything here, and stay as they are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.execution.plan import PlannedRun, plan
from harness.store.records import AttemptRecord, Snapshot
from harness.study.study import Study
from harness.trial.attempt_digest import attempt_digest, digest_now

Run = tuple[str, int]  # trial key and seed


@dataclass(frozen=True)
class Stale:
    """The runs of a study that one old version of the code has made on one model of device.

    `runs` has the stored attempt of each, the one that took the least time first.
    """

    study: str
    device: str
    old: str  # digests of the code
    new: str
    model: str  # its kind if it is not trained: each is shown for itself
    runs: tuple[tuple[PlannedRun, AttemptRecord], ...]

    @property
    def witness(self) -> PlannedRun:
        """The run that costs least to repeat."""
        return self.runs[0][0]

    @property
    def seconds(self) -> tuple[float, float]:
        """What one run takes, and what all take: as they took."""
        each = [attempt.seconds or 0.0 for _, attempt in self.runs]
        return each[0], sum(each)


def stale_runs(studies: Sequence[Study], found: Snapshot, artifacts: Path) -> list[Stale]:
    """Return what is stale of what studies ask for, study by study.

    Left out are results that count by a person's word: their trials are others.
    """
    attempts = {attempt.uid: attempt for attempt in found.attempts}
    groups: defaultdict[tuple[str, str, str, str, str], list[tuple[PlannedRun, AttemptRecord]]] = defaultdict(list)
    for run in plan(studies, found, artifacts, {"stale"}).runs:
        if run.reason == "stale" and run.supersedes is not None:
            attempt = attempts[run.supersedes]
            now = attempt_digest(run.trial.config, run.trial.data, device=attempt.device)
            model = str(run.trial.config["model"]["kind"]) if run.trial.is_untrained else ""
            groups[run.study, attempt.device_model, attempt.code_digest or "", now, model].append((run, attempt))
    return [
        Stale(*place, tuple(sorted(runs, key=lambda pair: pair[1].seconds or 0.0))) for place, runs in groups.items()
    ]


def witnesses(stale: Iterable[Stale]) -> frozenset[Run]:
    """Return one run for each old and new code on each device, over all studies: that which costs least."""
    cheapest: dict[tuple[str, ...], Stale] = {}
    for each in stale:
        place = each.device, each.old, each.new, each.model
        if place not in cheapest or each.seconds[0] < cheapest[place].seconds[0]:
            cheapest[place] = each
    return frozenset(run_of(each.witness) for each in cheapest.values())


def names_of(stale: Iterable[Stale]) -> frozenset[Run]:
    """Return what names the runs of all of them in a store."""
    return frozenset(run_of(run) for each in stale for run, _ in each.runs)


def run_of(run: PlannedRun) -> Run:
    """Return what names a planned run in a store."""
    return run.trial.key, run.seed


def runs_by_age(found: Snapshot) -> Mapping[str, Counter[str]]:
    """Return how many runs count, by model of device: "today", of today's code; "stale"; or "unknown", as nobody knows
    without a study's file which code reads its own data.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for attempt in found.attempts:
        if attempt.accepted:
            now = digest_now(found.trials[attempt.trial_key].config, attempt.kind, attempt.device)
            known = now is not None and attempt.code_digest is not None
            age = "unknown" if not known else "today" if attempt.is_of(str(now)) else "stale"
            counts[attempt.device_model][age] += 1
    return dict(sorted(counts.items()))
