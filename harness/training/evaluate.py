"""An attempt of kind `evaluate`: a run's stored weights on splits that it has not been evaluated on."""

from pathlib import Path

import torch

from harness.spec.attempt import WEIGHTS_FILE, AttemptRequest
from harness.training.outcome import Outcome, evaluations
from harness.training.process import StopFlag
from harness.training.setup import set_up


def run(request: AttemptRequest, device: torch.device, _stop: StopFlag) -> Outcome:
    """Evaluate the weights that lie in the folder `options["weights_folder"]`."""
    setup = set_up(request, device)
    weights = Path(request.options["weights_folder"]) / WEIGHTS_FILE
    setup.model.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    results, samples = evaluations(setup.task, setup.model, request.evaluations)
    return Outcome(state="done", results=results, samples=samples)
