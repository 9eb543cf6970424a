"""How long what is left will take: from the history in the store, else from a few steps timed now."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

from harness.execution.plan import PlannedRun
from harness.store.records import Snapshot
from harness.trial.models import MODELS, ModelDeclaration
from harness.trial.resolve import Trial
from harness.trial.trial import is_of_function, is_trained, what_runs

Calibrate = Callable[[Trial], float]
"""Returns the seconds of training on one image for a trial, measured now."""


@dataclass(frozen=True)
class Estimate:
    """Seconds, and whether some of them rest on a few steps timed now instead of runs that ended.

    None if nobody can know: a person's own function that never ran here.
    """

    seconds: float | None
    rough: bool


class Estimator:
    """Estimates runs by those that ended: of the same trial, else of the same model and data, an epoch.

    A model that was never trained is calibrated, once for each precision, and scaled by multiply-accumulates. A
    function is estimated by runs that ended of the same trial, else of the same function; a model that is not trained
    by what it was evaluated on, per byte of pixels.
    """

    def __init__(self, found: Snapshot, macs: Mapping[str, float], calibrate: Calibrate, device: str) -> None:
        """`macs`: multiply-accumulates of each trial's network for one image, by the trial's key."""
        kind = device.partition(":")[0]
        self._macs, self._calibrate = macs, calibrate
        self._rates: dict[str, float] = {}  # seconds per image and MAC
        self._by_trial: defaultdict[str, list[float]] = defaultdict(list)
        self._by_model: defaultdict[str, list[float]] = defaultdict(list)
        for attempt in found.attempts:
            seconds = attempt.seconds
            if attempt.kind != "train" or attempt.state != "done" or attempt.resumed_from or seconds is None:
                continue
            if attempt.device.partition(":")[0] != kind:
                continue  # says nothing of this device
            config = found.trials[attempt.trial_key].config
            if not (is_trained(config) or is_of_function(config)):
                keys = {key for key, _ in attempt.results}
                size = sum(found.datasets[found.evaluations[key].fingerprint].bytes for key in keys)
                self._by_model[_alike(config)].append(seconds / max(1, size))
                continue
            self._by_trial[attempt.trial_key].append(seconds)
            self._by_model[_alike(config)].append(seconds / _epochs(config))

    def run(self, planned: PlannedRun) -> Estimate:
        """Return what a run will take."""
        if planned.trial.is_untrained:
            rates = self._by_model.get(_alike(planned.trial.config))
            size = sum(evaluation.bytes for evaluation in planned.evaluations)
            return Estimate(None, rough=True) if rates is None else Estimate(median(rates) * size, rough=False)
        if planned.kind == "evaluate":
            return Estimate(0.0, rough=True)  # moments, beside a training
        config = planned.trial.config
        epochs = _epochs(config)
        if own := self._by_trial.get(planned.trial.key):
            return Estimate(median(own), rough=False)
        if alike := self._by_model.get(_alike(config)):
            return Estimate(median(alike) * epochs, rough=False)
        if planned.trial.is_function:
            return Estimate(None, rough=True)
        images = images_an_epoch(planned.trial) * epochs
        return Estimate(images * self._macs[planned.trial.key] * self._rate(planned.trial), rough=True)

    def total(self, runs: Iterable[PlannedRun], jobs: int) -> Estimate:
        """Return what runs will take with so many at a time."""
        each = [self.run(planned) for planned in runs]
        rough = any(e.rough for e in each)
        known = [e.seconds for e in each if e.seconds is not None]
        return Estimate(sum(known) / jobs if len(known) == len(each) else None, rough)

    def _rate(self, trial: Trial) -> float:
        kind = f"{trial.config['model']} {trial.config['protocol']['precision']}"
        if kind not in self._rates:
            self._rates[kind] = self._calibrate(trial) / self._macs[trial.key]
        return self._rates[kind]


def images_an_epoch(trial: Trial) -> float:
    """Return what an epoch amounts to, in images of the size for which the network's costs are counted."""
    data, augmentation = trial.data[0], trial.config["protocol"]["augmentation"]
    images, (_, height, width) = float(data.splits["train"].images), data.input_shape
    if isinstance(augmentation, Mapping) and augmentation["kind"] == "patches":
        images *= augmentation["per_image"]
        height = width = augmentation["size"]
    network = MODELS.get(trial.config["model"]["kind"])
    if network is None or not network.any_size:
        return images
    _, of_height, of_width = network.input_shape
    return images * height * width / (of_height * of_width)


def _epochs(config: Mapping[str, Any]) -> float:
    """Return the epochs of a run; a function is one, whatever it does."""
    return float(config["protocol"]["epochs"]) if "protocol" in config else 1.0


def _alike(config: Mapping[str, Any]) -> str:
    if is_of_function(config):
        return what_runs(config)
    if not is_trained(config):
        return f"{config['model']} {config['compressors']}"
    return f"{config['model']} {config['data']} {config['protocol']['precision']}"


# How fast this machine trains a network is measured by:
_STEPS = 3  # after one of warm-up
_IMAGES_ON_CPU = 16  # at least, where a batch has so many; a GPU gets a whole batch, or it is launches that are timed
_MACS_ON_CPU = 2e9  # and as many more as this allows: reading the weights of a large layer is shared by a batch


def seconds_per_image(
    config: Mapping[str, Any], plugin_folders: tuple[str, ...], device: str, threads: int, macs: float | None
) -> float:
    """Return the seconds of training on one image: forward and backward on noise, in the trial's precision.

    `macs` are those of one image's forward pass; None if they are not known.
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
