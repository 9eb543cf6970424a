"""How long what is left will take, from the history in the store."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from statistics import median
from typing import Any

from harness.execution.plan import PlannedRun
from harness.store.records import Snapshot


class History:
    """Seconds that finished attempts took, by trial, and by model and data an epoch."""

    def __init__(self, found: Snapshot) -> None:
        self._by_trial: defaultdict[str, list[float]] = defaultdict(list)
        self._by_model: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for attempt in found.attempts:
            if attempt.kind != "train" or attempt.state != "done" or attempt.resumed_from or not attempt.ended:
                continue
            begun, ended = (datetime.fromisoformat(t) for t in (attempt.started, attempt.ended))
            seconds = (ended - begun).total_seconds()
            config = found.trials[attempt.trial_key].config
            self._by_trial[attempt.trial_key].append(seconds)
            self._by_model[_model(config)].append(seconds / config["protocol"]["epochs"])

    def seconds(self, run: PlannedRun) -> float | None:
        """Return what a run will take: as this trial's runs did, else as an epoch of this model did; None: unknown."""
        own = self._by_trial.get(run.trial.key)
        if own:
            return median(own)
        config = run.trial.config
        alike = self._by_model.get(_model(config))
        return median(alike) * float(config["protocol"]["epochs"]) if alike else None

    def total(self, runs: Iterable[PlannedRun], jobs: int) -> float | None:
        """Return what runs will take with so many at a time, or None where one of them is unknown."""
        each = [self.seconds(run) for run in runs]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) / jobs if len(known) == len(each) else None


def _model(config: Mapping[str, Any]) -> tuple[str, str]:
    return str(config["model"]), str(config["data"])
