"""How long a network takes for some images: several strictly in turn, so that a machine that drifts favours none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from harness.bench.clock import Timed, in_turn, use_threads

REPETITIONS = 10


@dataclass(frozen=True)
class Saved:
    """How many milliseconds a call is shorter: the median of calls in turn, and an interval of it."""

    ms: float
    low: float
    high: float

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def saved(before: Timed, after: Timed) -> Saved:
    """Return the milliseconds that `after` saves, call by call, of two that were timed in turn.

    The interval holds the median difference with a probability of at least 95%, whatever the distribution: it lies
    between two order statistics. Of fewer than six calls there is none that does, and it goes from the least to the
    largest difference.
    """
    differences = sorted(1000 * (a - b) for a, b in zip(before.seconds, after.seconds, strict=True))
    count, left_out, tail = len(differences), 0, 1.0
    while tail <= 0.025 * 2**count:  # calls left out at each end
        left_out += 1
        tail += comb(count, left_out)
    left_out = max(0, left_out - 1)
    return Saved(median(differences), differences[left_out], differences[-1 - left_out])


def milliseconds(
    networks: Mapping[str, nn.Module],
    inputs: Sequence[Tensor],
    *,
    device: str = "cpu",
    threads: int | None = None,
    repetitions: int = REPETITIONS,
    seconds: float = 0.0,
) -> dict[str, Timed]:
    """Time forward passes of networks in evaluation mode on the same inputs, a call of each after a call of each.

    There are `repetitions` calls of each, and more until all have taken `seconds`; two rounds before them are not
    counted. `Timed.median` is in seconds, of one call on all images of the inputs.
    """
    if threads is not None:
        use_threads(threads)
    on = torch.device(device)
    given = [tensor.to(on) for tensor in inputs]
    calls = {name: _call(network.to(on).eval(), given, on) for name, network in networks.items()}
    with torch.inference_mode():
        return in_turn(calls, repetitions, seconds=seconds, warm_up=2)


def _call(network: nn.Module, inputs: Sequence[Tensor], device: torch.device) -> Callable[[], Any]:
    def call() -> None:
        network(*inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return call
