"""What an attempt of any kind brings back, before it becomes a result file."""

from dataclasses import dataclass
from pathlib import Path

from harness.attempt.messages import Artifact, Measure, Point, ResultValue, Sample, State, flagged
from harness.base.sealed import sha256_of


@dataclass(frozen=True)
class Outcome:
    """How it ended and what was found."""

    state: State
    resumed_from: str | None = None
    curve: tuple[Point, ...] = ()
    results: tuple[ResultValue, ...] = ()
    measures: tuple[Measure, ...] = ()
    samples: tuple[Sample, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()


def measure(name: str, value: float) -> Measure:
    """Return a measure, with a flag if the value is not a finite number."""
    return Measure(name, *flagged(value))


def artifact(kind: str, path: Path, folder: Path) -> Artifact:
    """Describe a file of an attempt's folder."""
    return Artifact(kind, path.relative_to(folder).as_posix(), sha256_of(path), path.stat().st_size)
