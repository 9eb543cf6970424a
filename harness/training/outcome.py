"""What an attempt of any kind brings back, before it becomes a result file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from harness.spec.attempt import Artifact, EvaluationSpec, Measure, Point, ResultValue, Sample, State, flagged
from harness.tasks.classification import Classification, correct_sample


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


def evaluations(
    task: Classification, model: nn.Module, specs: Sequence[EvaluationSpec]
) -> tuple[tuple[ResultValue, ...], tuple[Sample, ...]]:
    """Return the final metrics of each evaluation and its one value an image."""
    results: list[ResultValue] = []
    samples: list[Sample] = []
    model.eval()
    for spec in specs:
        evaluated = task.evaluate(model, task.split(spec.split, spec.dataset))
        values = {"accuracy": evaluated.accuracy, "loss": evaluated.loss}
        results += [ResultValue(spec.key, name, *flagged(value)) for name, value in values.items()]
        samples.append(correct_sample(spec, evaluated))
    return tuple(results), tuple(samples)


def artifact(kind: str, path: Path, folder: Path) -> Artifact:
    """Describe a file of an attempt's folder."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(kind, path.relative_to(folder).as_posix(), digest, len(content))
