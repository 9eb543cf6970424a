"""An attempt at training, evaluating or timing a network, in the process that is set up for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from harness.attempt.messages import AttemptRequest
from harness.base.extras import parts_named
from harness.training import evaluate, timing, train
from harness.training.outcome import Outcome, measure
from harness.training.process import StopFlag, configure, peak_memory_bytes, reset_peak_memory, watched

_KINDS: dict[str, Callable[[AttemptRequest, torch.device, StopFlag], Outcome]] = {
    "train": train.run,
    "check": train.run,
    "evaluate": evaluate.run,
    "timing": timing.run,
}


def run(request: AttemptRequest) -> Outcome:
    """Do what the request asks for, and measure the peak of memory."""
    with parts_named(), watched(Path(request.folder)) as stop:
        device = configure(request.execution)
        reset_peak_memory(device)
        outcome = _KINDS[request.kind](request, device, stop)
        peak = peak_memory_bytes(device)
    if peak is None:
        return outcome
    return replace(outcome, measures=(*outcome.measures, measure("peak_memory_bytes", peak)))
