"""Seconds of a call on a GPU, by the GPU's own clock.

A call only asks the GPU for work, and asking takes as long as small work does. So the GPU is kept waiting until all has
been asked for, and the time is that between two events in its own queue: what a training step that runs ahead, or is
captured as a graph, pays for the call.
"""

from collections.abc import Callable
from statistics import median

import torch

from harness.tasks.precision import use_precision

_WAIT_CYCLES = 2_000_000  # about a millisecond: longer than a call and its backward pass take to ask
_PRODUCT, _PRODUCTS = 8192, 10  # rows of large matrices, and how many products of them are timed


def timed_on(device: str, work: Callable[[], object]) -> tuple[float, object]:
    """Return the GPU's seconds for one call, and what it returned: it is let go of after the clock was read."""
    with torch.cuda.device(device):
        started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda._sleep(_WAIT_CYCLES)  # type: ignore[no-untyped-call]  # noqa: SLF001
        started.record()
        kept = work()
        ended.record()
        ended.synchronize()
    return started.elapsed_time(ended) / 1000, kept


def macs_per_s(device: str, precision: str) -> float:
    """Return multiply-accumulates a second of large matrix products on random values: the GPU's peak in practice.

    Sets the process's precision of fp32 products, as an attempt does.
    """
    where = torch.device(device)
    use_precision(precision, where)
    generator = torch.Generator(where).manual_seed(0)
    one, other = (torch.randn(_PRODUCT, _PRODUCT, generator=generator, device=where) for _ in range(2))
    if precision == "bf16":
        one, other = one.bfloat16(), other.bfloat16()
    timed = [timed_on(device, lambda: one @ other)[0] for _ in range(_PRODUCTS + 3)]  # three to warm up
    return float(_PRODUCT**3 / median(timed[3:]))
