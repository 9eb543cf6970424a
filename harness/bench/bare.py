"""What `harness bench overhead` holds the harness against, each run a process of its own, as a script would be.

    python -m harness.bench.bare classification REQUEST.json      trains, looks and tests as an attempt does; no files
    python -m harness.bench.bare function ROUNDS SEED WAIT        calls the function below with nothing around it

The function works with numpy alone, or waits WAIT seconds a round, which a busy machine makes little longer. It reports
100 points and writes 5 checkpoints, through whatever context it is given.
"""

import math
import sys
import time
from pathlib import Path
from typing import Any

SIZE, POINTS, CHECKPOINTS = 384, 100, 5


def run(context: Any, *, rounds: int, wait_s: float = 0.0) -> dict[str, float]:
    """Multiply matrices `rounds` times, or wait instead if `wait_s` is not 0."""
    import numpy as np

    random = np.random.default_rng(context.seed)
    step, x = random.standard_normal((SIZE, SIZE)) / math.sqrt(SIZE), random.standard_normal((SIZE, SIZE))
    for number in range(rounds):
        if wait_s:
            time.sleep(wait_s)
        else:
            x = np.tanh(step @ x)
        if number % max(1, rounds // POINTS) == 0:
            context.report(number, mean=float(x.mean()))
        if number % max(1, rounds // CHECKPOINTS) == 0:
            with context.checkpoint("state.npy") as file:
                np.save(file, x)
        if context.should_stop():
            break
    return {"spread": float(x.std())}


class Nothing:
    """A context that keeps nothing: what a direct call is given."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def report(self, step: int, **metrics: float) -> None:
        """Say nothing."""

    def checkpoint(self, name: str) -> Any:  # noqa: ARG002 - as the context's
        """Return a file that is nowhere."""
        import io

        return io.BytesIO()

    def should_stop(self) -> bool:
        """Return that nobody asks to."""
        return False


class _NoCurve:
    def add(self, split: str, name: str, step: int, value: float) -> None:
        """Keep nothing."""


def classify(path: Path) -> None:
    """Train, look every 100 steps and test every epoch, as a request says, and write nothing."""
    from harness.attempt.messages import AttemptRequest
    from harness.training.checkpoint import Progress
    from harness.training.observe import OBSERVE_EVERY, Observer
    from harness.training.process import configure
    from harness.training.setup import set_up, training

    request = AttemptRequest.from_json(path.read_text(encoding="utf-8"))
    setup = set_up(request, configure(request.execution))
    session, look = training(setup, request, Progress()), Observer(setup.task, _NoCurve())  # type: ignore[arg-type]
    session.model.train()
    step = 0
    for epoch in range(session.batches.epochs):
        order = session.begin_epoch(epoch)
        for number in range(session.batches.an_epoch):
            session.step(session.batches.batch(order, number), epoch, step)
            step += 1
            if step % OBSERVE_EVERY == 0:
                look.observe(session.model, step, session.loss_sum())
        look.epoch(session.model, step)


if __name__ == "__main__":
    if sys.argv[1] == "function":
        run(Nothing(int(sys.argv[3])), rounds=int(sys.argv[2]), wait_s=float(sys.argv[4]))
    else:
        classify(Path(sys.argv[2]))
