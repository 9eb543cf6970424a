"""An attempt of kind `evaluate`: a run's stored weights on splits that it has not been evaluated on."""

from pathlib import Path

import torch

from harness.spec.attempt import WEIGHTS_FILE, AttemptRequest
from harness.training.outcome import Outcome, evaluation_values
from harness.training.process import StopFlag
from harness.training.setup import set_up


def run(request: AttemptRequest, device: torch.device, _stop: StopFlag) -> Outcome:
    """Evaluate the weights that lie in the folder `options["weights_folder"]`."""
    setup = set_up(request, device)
    weights = Path(request.options["weights_folder"]) / WEIGHTS_FILE
    setup.model.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    model = setup.model.eval()
    results, samples = [], []
    for spec in request.evaluations:
        values, correct = evaluation_values(spec, setup.task.evaluate(model, setup.task.split(spec.split)))
        results += values
        samples += correct
    return Outcome(state="done", results=tuple(results), samples=tuple(samples))
