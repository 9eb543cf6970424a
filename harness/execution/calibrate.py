"""How fast this machine trains a network, from a few steps timed now: for an estimate before anything was ever run."""

import time
from collections.abc import Mapping
from typing import Any, cast

from harness.spec.models import ModelDeclaration

_STEPS = 3  # after one of warm-up
_IMAGES_ON_CPU = 16  # a GPU gets a whole batch, or launching its kernels would be what is measured


def seconds_per_image(config: Mapping[str, Any], plugin_folders: tuple[str, ...], device: str, threads: int) -> float:
    """Return the seconds of training on one image: forward and backward on noise, in the trial's precision.

    The shortest of a few steps, so it is rough; data, optimiser, observation and capture are not in it.
    """
    import torch

    from harness.models.build import build_model
    from harness.tasks.precision import autocast, use_precision
    from harness.training.process import synchronise

    where, before = torch.device(device), torch.get_num_threads()
    precision = config["protocol"]["precision"]
    use_precision(precision, where)
    count = _IMAGES_ON_CPU if where.type == "cpu" else int(config["protocol"]["batch_size"])
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
