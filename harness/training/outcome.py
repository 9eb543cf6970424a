"""What an attempt of any kind brings back, before it becomes a result file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harness.spec.attempt import Artifact, Measure, Point, ResultValue, Sample, State, flagged


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


def measure(name: str, value: float) -> Measure:
    """Return a measure, with a flag where the value is no finite number."""
    return Measure(name, *flagged(value))


def artifact(kind: str, path: Path, folder: Path) -> Artifact:
    """Describe a file of an attempt's folder."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(kind, path.relative_to(folder).as_posix(), digest, len(content))
