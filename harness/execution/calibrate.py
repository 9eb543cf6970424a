"""How fast this machine trains a network, from a few steps timed now: for an estimate before anything was ever run."""

import time
from collections.abc import Mapping
from typing import Any, cast

from harness.trial.models import ModelDeclaration

_STEPS = 3  # after one of warm-up
_IMAGES_ON_CPU = 16  # at least, where a batch has so many; a GPU gets a whole batch, or it is launches that are timed
_MACS_ON_CPU = 2e9  # and as many more as this allows: reading the weights of a large layer is shared by a batch


def seconds_per_image(
    config: Mapping[str, Any], plugin_folders: tuple[str, ...], device: str, threads: int, macs: float | None
) -> float:
    """Return the seconds of training on one image: forward and backward on noise, in the trial's precision.

    `macs` is what an image costs forward, None where that is not known.
    The shortest of a few steps, so it is rough; data, optimiser, observation and capture are not in it.
    """
    import torch

    from harness.models.build import build_model
    from harness.tasks.precision import autocast, use_precision
    from harness.training.process import synchronise

    where, before = torch.device(device), torch.get_num_threads()
    precision = config["protocol"]["precision"]
    use_precision(precision, where)
    count = int(config["protocol"]["batch_size"])
    if where.type == "cpu":
        count = min(count, max(_IMAGES_ON_CPU, int(_MACS_ON_CPU / macs) if macs else 0))
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            model = build_model(config, plugin_folders).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
            images = torch.randn(count, *cast("ModelDeclaration", model.declaration).input_shape).to(where)
        images = images.contiguous(memory_format=torch.channels_last)

        def timed() -> float:
            started = time.perf_counter()
            with autocast(precision, where):
                logits = model(images)
            logits.float().logsumexp(1).mean().backward()
            synchronise(where)
            return time.perf_counter() - started

        return min(timed() for _ in range(1 + _STEPS)) / count
    finally:
        torch.set_num_threads(before)
