"""An attempt at training, evaluating or timing a network, in the process that is set up for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from harness.attempt.messages import AttemptRequest
from harness.base.extras import parts_named
from harness.training import evaluate, timing, train, untrained
from harness.training.outcome import Outcome, measure
from harness.training.process import StopFlag, configure, peak_memory_bytes, reset_peak_memory, watched
from harness.training.ranks import Ranks, joined
from harness.training.several import Place
from harness.trial.trial import is_trained

_KINDS: dict[str, Callable[[AttemptRequest, torch.device, StopFlag, Ranks], Outcome]] = {
    "train": train.run,
    "check": train.run,
    "evaluate": evaluate.run,
    "timing": timing.run,
}


def run(request: AttemptRequest, place: Place | None = None) -> Outcome:
    """Do what the request asks for, from a `place` among several processes, and measure the peak of memory of all."""
    with parts_named(), watched(Path(request.folder)) as stop:
        device = configure(request.execution, 0 if place is None else place.rank)
        reset_peak_memory(device)
        make = _KINDS[request.kind] if is_trained(request.config) else untrained.run
        with joined(place, device) as ranks:
            outcome = make(request, device, stop, ranks)
            peak = peak_memory_bytes(device)
            if peak is not None:
                peak = int(ranks.total(torch.tensor(peak)))
    if peak is None:
        return outcome
    return replace(outcome, measures=(*outcome.measures, measure("peak_memory_bytes", peak)))
