"""What an attempt of any kind brings back, before it becomes a result file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harness.spec.attempt import Artifact, EvaluationSpec, Measure, Point, ResultValue, Sample, State, flagged
from harness.tasks.classification import Evaluated, correct_sample


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


def evaluation_values(spec: EvaluationSpec, evaluated: Evaluated) -> tuple[tuple[ResultValue, ...], tuple[Sample, ...]]:
    """Return an evaluation's final metrics and its one value an image."""
    values = {"accuracy": evaluated.accuracy, "loss": evaluated.loss}
    results = tuple(ResultValue(spec.key, name, *flagged(value)) for name, value in values.items())
    return results, (correct_sample(spec, evaluated),)


def artifact(kind: str, path: Path, folder: Path) -> Artifact:
    """Describe a file of an attempt's folder."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(kind, path.relative_to(folder).as_posix(), digest, len(content))
