"""Seconds of a call on a GPU, by the GPU's own clock.

A call only asks the GPU for work, and asking takes as long as small work does. So the GPU is kept waiting until all has
been asked for, and the time is that between two events in its own queue: what a training step that runs ahead, or is
captured as a graph, pays for the call.
"""

from collections.abc import Callable

import torch

_WAIT_CYCLES = 4_000_000  # about two milliseconds: longer than a call and its backward pass take to ask


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
