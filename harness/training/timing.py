"""An attempt of kind `timing`: seconds per epoch and seconds per test, alone on the device, nothing else measured.

50 steps of warm-up, then 3 epochs over all training data (at least one, at most ten minutes), then the whole test set
(or what replaces it if a trial keeps it out of sight) three times after one warm-up. Median and spread are
stored. `harness run timing` asks for one of each per attempt, and repeats the attempt in turn with other trials.
"""

import statistics
import time
from collections.abc import Sequence

import torch

from harness.attempt.messages import AttemptRequest, Measure
from harness.training.checkpoint import Progress
from harness.training.loop import Training
from harness.training.outcome import Outcome, measure
from harness.training.process import StopFlag, synchronise
from harness.training.ranks import ALONE, Ranks
from harness.training.setup import set_up, training

WARM_UP_STEPS, EPOCHS, AT_MOST_S, TESTS = 50, 3, 600.0, 3


def run(request: AttemptRequest, device: torch.device, stop: StopFlag, ranks: Ranks = ALONE) -> Outcome:
    """Time training and testing of the request's network.

    `options` may set warm_up_steps, epochs, tests and at_most_s. Of several processes the first decides, and tests.
    """
    setup = set_up(request, device)
    session = training(setup, request, Progress(), ranks)
    options = request.options
    _warm_up(session, int(options.get("warm_up_steps", WARM_UP_STEPS)))
    epochs: list[float] = []
    begun = time.monotonic()
    while len(epochs) < int(options.get("epochs", EPOCHS)):
        seconds = _epoch(session, len(epochs), stop)
        if seconds is None:
            return Outcome(state="interrupted")
        epochs.append(seconds)
        if ranks.agreed(time.monotonic() - begun + seconds > float(options.get("at_most_s", AT_MOST_S))):
            break
    if not ranks.first:
        return Outcome(state="done")
    model, test = setup.model.eval(), setup.task.observed
    tests = []
    for _ in range(int(options.get("tests", TESTS)) + 1):
        synchronise(device)
        started = time.perf_counter()
        setup.task.evaluate(model, test)
        synchronise(device)
        tests.append(time.perf_counter() - started)
    per_image = [seconds / test.images for seconds in tests[1:]]
    measures = (*_spread("train_s_per_epoch", epochs), *_spread("test_s", tests[1:]))
    return Outcome(state="done", measures=(*measures, *_spread("test_s_per_image", per_image)))


def _warm_up(session: Training, steps: int) -> None:
    order = session.begin_epoch(0)
    session.model.train()
    for number in range(steps):
        session.step(session.batches.batch(order, number % session.batches.an_epoch), 0, number)


def _epoch(session: Training, epoch: int, stop: StopFlag) -> float | None:
    """Return the seconds of one epoch over all training data, or None if a stop was asked for."""
    device = session.task.device
    synchronise(device)
    started = time.perf_counter()
    order = session.begin_epoch(epoch)
    first = epoch * session.batches.an_epoch
    for number in range(session.batches.an_epoch):
        if session.ranks.agreed(bool(stop)):
            return None
        session.step(session.batches.batch(order, number), epoch, first + number)
    synchronise(device)
    return time.perf_counter() - started


def _spread(name: str, seconds: Sequence[float]) -> tuple[Measure, ...]:
    return (
        measure(name, statistics.median(seconds)),
        measure(f"{name}_min", min(seconds)),
        measure(f"{name}_max", max(seconds)),
        measure(f"{name}_count", len(seconds)),
    )
