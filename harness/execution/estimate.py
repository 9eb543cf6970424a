"""How long what is left will take: from the history in the store, else from a few steps timed now."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from harness.execution.plan import PlannedRun
from harness.store.records import Snapshot
from harness.trial.resolve import Trial
from harness.trial.trial import is_of_function

Calibrate = Callable[[Trial], float]
"""Returns the seconds of training on one image for a trial, measured now."""


@dataclass(frozen=True)
class Estimate:
    """Seconds, and whether some of them rest on a few steps timed now instead of runs that ended.

    None where nobody can know: a person's own function that never ran here.
    """

    seconds: float | None
    rough: bool


class Estimator:
    """Estimates runs by those that ended: of the same trial, else of the same model and data, an epoch.

    A model that was never trained is calibrated, once for each precision, and scaled by multiply-accumulates. A
    function is estimated by runs that ended of the same trial, else of the same function.
    """

    def __init__(self, found: Snapshot, macs: Mapping[str, float], calibrate: Calibrate, device: str) -> None:
        """`macs`: multiply-accumulates of each trial's network for one image, by the trial's key."""
        kind = device.partition(":")[0]
        self._macs, self._calibrate = macs, calibrate
        self._rates: dict[str, float] = {}  # seconds an image and MAC
        self._by_trial: defaultdict[str, list[float]] = defaultdict(list)
        self._by_model: defaultdict[str, list[float]] = defaultdict(list)
        for attempt in found.attempts:
            if attempt.kind != "train" or attempt.state != "done" or attempt.resumed_from or not attempt.ended:
                continue
            if attempt.device.partition(":")[0] != kind:
                continue  # says nothing of this device
            begun, ended = (datetime.fromisoformat(t) for t in (attempt.started, attempt.ended))
            seconds = (ended - begun).total_seconds()
            config = found.trials[attempt.trial_key].config
            self._by_trial[attempt.trial_key].append(seconds)
            self._by_model[_alike(config)].append(seconds / _epochs(config))

    def run(self, planned: PlannedRun) -> Estimate:
        """Return what a run will take."""
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
        images = planned.trial.data[0].splits["train"].images * epochs
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


def _epochs(config: Mapping[str, Any]) -> float:
    """Return the epochs of a run; a function is one, whatever it does."""
    return float(config["protocol"]["epochs"]) if "protocol" in config else 1.0


def _alike(config: Mapping[str, Any]) -> str:
    if is_of_function(config):
        return f"{config['task']['target']}"
    return f"{config['model']} {config['data']} {config['protocol']['precision']}"
