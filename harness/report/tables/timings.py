"""Which stored timings may stand beside each other: alone on the device, on one device with as many threads, and
composed in one way.
"""

from typing import Literal

from harness.report.tables.match import device_of
from harness.spec.attempt import Execution
from harness.store.records import AttemptRecord, Snapshot

Composition = Literal["ours", "paper"]
"""ours: our kernels, channels first where that commutes; paper: plain torch's operators in the paper's order."""

Place = tuple[str, int]  # the model of a device, and threads


def place_of(attempt: AttemptRecord) -> Place:
    """Return on what an attempt was timed."""
    return device_of(attempt), attempt.threads


def newest(timings: list[AttemptRecord]) -> AttemptRecord | None:
    """Return the timing that was made last; None of none."""
    return max(timings, key=lambda a: a.order, default=None)


def composition(attempt: AttemptRecord) -> Composition | None:
    """Return how an attempt composed its network, None where neither as we do by default nor as the paper does.

    Device and threads aside, everything else of its execution must be the default. Before there was an order to
    choose, networks were computed as written.
    """
    default = Execution()
    fields = ("memory_format", "compile", "capture", "deterministic")
    if any(attempt.execution.get(name, getattr(default, name)) != getattr(default, name) for name in fields):
        return None
    parts = attempt.execution.get("kernels", "torch"), attempt.execution.get("order", "as_written")
    if parts == ("auto", "auto"):
        return "ours"
    return "paper" if parts == ("torch", "as_written") else None


def clean_timings(snapshot: Snapshot, trial_key: str, composed: Composition) -> list[AttemptRecord]:
    """Return a trial's timings that were alone on the device and composed so, oldest first."""
    return [a for a in snapshot.timings(trial_key) if a.exclusive and composition(a) == composed]


def shown_timings(snapshot: Snapshot, trial_key: str) -> list[AttemptRecord]:
    """Return a trial's timings that a table shows, oldest first: as we compose it; where it has none, as the paper."""
    return clean_timings(snapshot, trial_key, "ours") or clean_timings(snapshot, trial_key, "paper")
