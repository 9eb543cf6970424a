"""Which stored timings may be compared: alone on the device, on one device with as many threads, and composed in one
way; and which of them are of one session.

A session is one call of `harness run timing`: it times every trial once per round, in a drawn order, so that whatever a
machine does in those minutes falls on all trials alike. Repetitions within a session do not show what the next day
changes (sessions on one machine differ by 20%), so ratios are formed within a session, and the session is the unit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median
from typing import Any, Literal

from harness.attempt.messages import Execution
from harness.report.tables.match import device_of
from harness.store.records import AttemptRecord, Snapshot

Composition = Literal["ours", "paper"]
"""ours: our kernels, channels first if that commutes; paper: plain torch's operators in the paper's order."""

Machine = tuple[str, int]  # the model of a device, and threads

_OURS = ("auto", "auto")  # kernels and order
_SETTINGS = ("memory_format", "compile", "capture", "deterministic", "processes")

SAME_CALL_S = 300.0
"""Timings from before sessions were recorded are of one session if each begins within so many seconds of the last."""


@dataclass(frozen=True)
class Session:
    """The timings of one session on one device: by trial, its repetitions pooled."""

    machine: Machine
    started: str
    by_trial: Mapping[str, AttemptRecord]


def machine_of(attempt: AttemptRecord) -> Machine:
    """Return on what an attempt was timed."""
    return device_of(attempt), attempt.threads


def newest(timings: list[AttemptRecord]) -> AttemptRecord | None:
    """Return the timing that was made last; None of none."""
    return max(timings, key=lambda a: a.order, default=None)


def composition(attempt: AttemptRecord) -> Composition | None:
    """Return how an attempt composed its network, None if neither as we do by default nor as the paper does.

    Device and threads aside, everything else of its execution must be the default. Before there was an order to
    choose, networks were computed as written.
    """
    if changed_settings(attempt):
        return None
    parts = _parts(attempt)
    if parts == _OURS:
        return "ours"
    return "paper" if parts == ("torch", "as_written") else None


def changed_settings(attempt: AttemptRecord) -> dict[str, Any]:
    """Return what of an attempt's execution a study or a call has set to something else than the default.

    Device, threads, kernels and order aside.
    """
    default = Execution()
    found = {name: attempt.execution.get(name, getattr(default, name)) for name in _SETTINGS}
    return {name: value for name, value in found.items() if value != getattr(default, name)}


def _parts(attempt: AttemptRecord) -> tuple[Any, Any]:
    return attempt.execution.get("kernels", "torch"), attempt.execution.get("order", "as_written")


def clean_timings(snapshot: Snapshot, trial_key: str, composed: Composition) -> list[AttemptRecord]:
    """Return a trial's timings that were alone on the device and composed so, one per session, oldest first."""
    return _pooled(a for a in snapshot.timings(trial_key) if _is_clean(a, composed))


def shown_timings(snapshot: Snapshot, trial_key: str) -> list[AttemptRecord]:
    """Return a trial's timings that a table shows, oldest first: as we compose it; if it has none, as the paper."""
    return clean_timings(snapshot, trial_key, "ours") or clean_timings(snapshot, trial_key, "paper")


def comparable_timings(snapshot: Snapshot, trial_keys: Iterable[str], measure: str) -> dict[str, AttemptRecord]:
    """Return the newest timing with a measure per trial, by key: all made alone, on one device and in one way.

    Both are those of the newest timing: as we compose networks if there is such a timing. Of a study that states
    how it is run, such as `memory_format: channels_last`, these are its timings.
    """
    found = [
        (key, attempt)
        for key in trial_keys
        for attempt in _pooled(a for a in snapshot.timings(key) if a.exclusive)
        if measure in attempt.measures
    ]
    timings = [attempt for _, attempt in found]
    last = newest([attempt for attempt in timings if _parts(attempt) == _OURS] or timings)
    if last is None:
        return {}
    return {key: attempt for key, attempt in found if _manner(attempt) == _manner(last)}  # oldest first per key


def _manner(attempt: AttemptRecord) -> tuple[Any, ...]:
    return machine_of(attempt), _parts(attempt), changed_settings(attempt)


def sessions(snapshot: Snapshot, composed: Composition) -> tuple[Session, ...]:
    """Return all sessions of clean timings that were composed so, oldest first."""
    by_machine: defaultdict[Machine, list[AttemptRecord]] = defaultdict(list)
    for attempt in snapshot.attempts:
        if attempt.kind == "timing" and attempt.state == "done" and _is_clean(attempt, composed):
            by_machine[machine_of(attempt)].append(attempt)
    found = [_session(machine, own) for machine, timings in by_machine.items() for own in _by_call(timings)]
    return tuple(sorted(found, key=lambda session: (session.started, session.machine)))


def _is_clean(attempt: AttemptRecord, composed: Composition) -> bool:
    return attempt.exclusive and composition(attempt) == composed


def _session(machine: Machine, timings: Sequence[AttemptRecord]) -> Session:
    by_trial: defaultdict[str, list[AttemptRecord]] = defaultdict(list)
    for attempt in timings:
        by_trial[attempt.trial_key].append(attempt)
    started = min(attempt.started for attempt in timings)
    return Session(machine, started, {key: pool(own) for key, own in by_trial.items()})


def _by_call(timings: Iterable[AttemptRecord]) -> list[list[AttemptRecord]]:
    """Return timings by the call that made them: as recorded, and for older ones as their times suggest."""
    recorded: defaultdict[str, list[AttemptRecord]] = defaultdict(list)
    older: list[list[AttemptRecord]] = []
    for attempt in sorted(timings, key=lambda a: (a.started, a.uid)):
        if name := attempt.execution.get("session"):
            recorded[name].append(attempt)
        elif older and _goes_on(older[-1], attempt):
            older[-1].append(attempt)
        else:
            older.append([attempt])
    return [*older, *recorded.values()]


def _goes_on(call: Sequence[AttemptRecord], attempt: AttemptRecord) -> bool:
    """Return whether an older timing continues a call: it follows soon, and is of a trial not timed there yet.

    Calls of those days timed each trial once.
    """
    last = call[-1].ended or call[-1].started
    gap = (datetime.fromisoformat(attempt.started) - datetime.fromisoformat(last)).total_seconds()
    return gap <= SAME_CALL_S and all(attempt.trial_key != other.trial_key for other in call)


def _pooled(timings: Iterable[AttemptRecord]) -> list[AttemptRecord]:
    """Return a trial's timings with the repetitions of each recorded session pooled, oldest first."""
    by: dict[str, list[AttemptRecord]] = {}
    for attempt in timings:
        by.setdefault(attempt.execution.get("session") or attempt.uid, []).append(attempt)
    return [pool(own) for own in by.values()]


def pool(timings: Sequence[AttemptRecord]) -> AttemptRecord:
    """Return a trial's timings of one session as one: medians over them, the least, the most, and how many.

    The record is otherwise that of the last of them.
    """
    last = max(timings, key=lambda a: (a.started, a.uid))
    if len(timings) == 1:
        return last
    values: defaultdict[str, list[float]] = defaultdict(list)
    for attempt in timings:
        for name, value in attempt.measures.items():
            values[name].append(value)
    return replace(last, measures={name: _over(name, found) for name, found in values.items()})


def _over(name: str, values: Sequence[float]) -> float:
    """Return a measure over repetitions, by what its name ends in."""
    match name.rpartition("_")[2]:
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "count":
            return sum(values)
    return median(values)
