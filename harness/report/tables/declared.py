"""What the metrics of stored trials are: as stored with a trial, else as its task declares them, else as its study.

Trials of earlier versions have none stored. A function's metrics stand in the text of its study.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.attempt.metrics import Better, Metric
from harness.store.records import Snapshot
from harness.trial.tasks import TASKS

_BETTER: Mapping[Any, Better] = {"maximize": "higher", "minimize": "lower"}


def metrics_of(snapshot: Snapshot, trial_key: str, study: str | None = None) -> tuple[Metric, ...]:
    """Return what the metrics of a trial are, the foremost first; none if nobody says.

    A trial of an earlier version that several studies have is asked about in `study`, by default in the newest.
    """
    trial = snapshot.trials.get(trial_key)
    if trial is None:
        return ()
    task = TASKS.get(str(trial.config["task"]["kind"]))
    return trial.metrics or (of_study(_text(snapshot, trial_key, study)) if task is None else task.metrics)


def metrics_of_all(snapshot: Snapshot, trial_keys: Iterable[str], study: str | None = None) -> tuple[Metric, ...]:
    """Return what the metrics of some trials are, each name once: as the first trial has it that has it."""
    found: dict[str, Metric] = {}
    for key in dict.fromkeys(trial_keys):
        for metric in metrics_of(snapshot, key, study):
            found.setdefault(metric.name, metric)
    return tuple(found.values())


def metric_named(metrics: Iterable[Metric], name: str) -> Metric:
    """Return the metric of a name; a bare number, higher is better, if nobody says what it is."""
    return next((metric for metric in metrics if metric.name == name), Metric(name))


def position(metrics: Iterable[Metric], name: str) -> tuple[int, str]:
    """Return where a metric stands among others: in their order, those of which nobody says anything last, by name."""
    names = [metric.name for metric in metrics]
    return (names.index(name) if name in names else len(names), name)


@lru_cache(maxsize=64)
def of_study(spec_yaml: str) -> tuple[Metric, ...]:
    """Return the metrics that a study's text declares, in its order; none if it declares none.

    What the study itself says comes before what it includes, what holds for all before what single entries add.
    """
    try:
        documents = list(YAML(typ="safe", pure=True).load_all(spec_yaml))
    except YAMLError:
        return ()
    found: dict[str, Metric] = {}
    for document in documents:
        if not isinstance(document, Mapping):
            continue
        trials = document.get("trials")
        for part in (document, *(trials if isinstance(trials, list) else ())):
            for name, written in _written(part).items():
                metric = _metric(str(name), written)
                if metric is not None:
                    found.setdefault(metric.name, metric)
    return tuple(found.values())


def _written(part: Any) -> Mapping[Any, Any]:
    metrics = part.get("metrics") if isinstance(part, Mapping) else None
    return metrics if isinstance(metrics, Mapping) else {}


def _metric(name: str, written: Any) -> Metric | None:
    """Return a metric written `minimize` or `{direction: minimize, unit: dB}`; None if it says no direction."""
    parts = written if isinstance(written, Mapping) else {"direction": written}
    direction = parts.get("direction")
    better = _BETTER.get(direction) if isinstance(direction, str) else None
    return None if better is None else Metric(name, str(parts.get("unit", "")), better)


def _text(snapshot: Snapshot, trial_key: str, study: str | None) -> str:
    """Return the newest text of a study that has the trial, of any if none is named; "" if there is none."""
    records = [r for r in snapshot.study_trials if r.trial_key == trial_key and study in {None, r.study}]
    return records[-1].spec_yaml if records else ""
