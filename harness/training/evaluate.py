"""An attempt of kind `evaluate`: a run's stored weights on splits that it has not been evaluated on."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from harness.attempt.messages import WEIGHTS_FILE, AttemptRequest, EvaluationSpec, ResultValue, Sample, flagged
from harness.base.errors import DamagedError
from harness.base.sealed import sha256_of
from harness.tasks.base import Task, samples
from harness.training.outcome import Outcome
from harness.training.process import StopFlag
from harness.training.ranks import ALONE, Ranks
from harness.training.setup import set_up


def run(request: AttemptRequest, device: torch.device, _stop: StopFlag, _ranks: Ranks = ALONE) -> Outcome:
    """Evaluate the weights in the folder `options["weights_folder"]`, whose SHA-256 is `options["weights_sha256"]`.

    Raises DamagedError if they are not what their attempt left; they are set aside then, as if they were not here.
    """
    weights = Path(request.options["weights_folder"]) / WEIGHTS_FILE
    known = request.options.get("weights_sha256")  # None if the store has none: nothing to compare with
    if known is not None and sha256_of(weights) != known:
        aside = weights.replace(weights.with_name(f"damaged-{WEIGHTS_FILE}"))
        words = f"its SHA-256 differs; it is {aside.name} now, --retry weights trains again"
        raise DamagedError(f"{weights} is not what was written: {words}")
    setup = set_up(request, device)
    setup.model.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    results, by_item = evaluations(setup.task, setup.model, request.evaluations)
    return Outcome(state="done", results=results, samples=by_item)


def evaluations(
    task: Task, model: nn.Module, specs: Sequence[EvaluationSpec]
) -> tuple[tuple[ResultValue, ...], tuple[Sample, ...]]:
    """Return the final metrics of each evaluation and its one value per image."""
    results: list[ResultValue] = []
    by_item: list[Sample] = []
    model.eval()
    for spec in specs:
        evaluated = task.evaluate(model, spec)
        results += [ResultValue(spec.key, name, *flagged(value)) for name, value in evaluated.metrics.items()]
        by_item += samples(spec, evaluated)
    return tuple(results), tuple(by_item)
