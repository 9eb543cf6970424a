"""What the metrics of stored trials are: as stored with a trial, else as its task declares them, else as its study.

Trials of earlier versions have none stored. A function's metrics stand in the text of its study.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.attempt.metrics import Better, Metric
from harness.store.records import EvaluationRecord, Snapshot
from harness.study.ablate import base_name
from harness.trial.overrides import in_words
from harness.trial.tasks import TASKS, TaskDeclaration

_BETTER: Mapping[Any, Better] = {"maximize": "higher", "minimize": "lower"}


def metrics_of(snapshot: Snapshot, trial_key: str, study: str | None = None) -> tuple[Metric, ...]:
    """Return what the metrics of a trial are, the primary first; none if nobody says.

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


def measured_notes(
    snapshot: Snapshot, trial_keys: Iterable[str], evaluations: Iterable[EvaluationRecord]
) -> tuple[str, ...]:
    """Return how the results of some trials were measured, as their tasks say it, with what they were tested on.

    Nothing of tasks of which there is nothing to say.
    """
    kinds = dict.fromkeys(str(snapshot.trials[key].config["task"]["kind"]) for key in trial_keys)
    tested = list({one.key: one for one in evaluations}.values())
    found = []
    for task in (TASKS.get(kind) for kind in kinds):
        if task is not None and task.measured:
            on = _tested_on(snapshot, task, sorted(tested, key=lambda evaluation: evaluation.reading_order))
            found.append(f"{f'Tested on {on}. ' if on else ''}{task.measured}")
    return tuple(found)


def _tested_on(snapshot: Snapshot, task: TaskDeclaration, evaluations: Sequence[EvaluationRecord]) -> str:
    """Return evaluations in words: of each split the number of images, and all values of every option."""
    by: dict[str, dict[str, list[str]]] = {}
    for one in evaluations:
        record = snapshot.datasets.get(one.fingerprint)
        images = [] if record is None else ["1 image" if record.images == 1 else f"{record.images:,} images"]
        options = by.setdefault(", ".join([f"{one.dataset} {one.split}", *images]), {})
        for name, value in _with_defaults(task, one).items():
            options.setdefault(name, []).append(value)
    return "; ".join(
        ", ".join([split, *(f"{name} {' '.join(dict.fromkeys(values))}" for name, values in options.items())])
        for split, options in by.items()
    )


def _with_defaults(task: TaskDeclaration, evaluation: EvaluationRecord) -> dict[str, str]:
    """Return every option of an evaluation's condition in words, by its name in words."""
    kind = task.conditions.get(str(evaluation.condition.get("kind")))
    whole = dict(evaluation.condition) if kind is None else kind(**evaluation.options).model_dump(mode="json")
    plain = {name: f"{value:g}" if isinstance(value, float) else in_words(value) for name, value in whole.items()}
    return {name.replace("_", " "): value for name, value in plain.items() if name != "kind"}


def metric_named(metrics: Iterable[Metric], name: str) -> Metric:
    """Return the metric of a name; a bare number, higher is better, if nobody says what it is."""
    return next((metric for metric in metrics if metric.name == name), Metric(name))


def position(metrics: Iterable[Metric], name: str) -> tuple[int, str]:
    """Return where a metric is among others: in their order, those of which nobody says anything last, by name."""
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


@lru_cache(maxsize=64)
def baseline_of(spec_yaml: str) -> str | None:
    """Return the baseline that a study's text names, itself and not what it includes; None if it names none."""
    own = _own_text(spec_yaml)
    ablate = ablate_of(spec_yaml)
    named = own.get("baseline") or (None if ablate is None else base_name(ablate))
    return named if isinstance(named, str) else None


def ablate_of(spec_yaml: str) -> Mapping[str, Any] | None:
    """Return what a study's text has under `ablate`, itself and not what it includes."""
    ablate = _own_text(spec_yaml).get("ablate")
    return ablate if isinstance(ablate, Mapping) else None


def _own_text(spec_yaml: str) -> Mapping[Any, Any]:
    try:
        own = next(iter(YAML(typ="safe", pure=True).load_all(spec_yaml)), None)
    except YAMLError:
        return {}
    return own if isinstance(own, Mapping) else {}


@lru_cache(maxsize=64)
def written_arguments(spec_yaml: str) -> Mapping[str, tuple[Any, ...]]:
    """Return all values that a study's text gives each argument of its function, in single trials and in grids."""
    try:
        documents = list(YAML(typ="safe", pure=True).load_all(spec_yaml))
    except YAMLError:
        return {}
    found: dict[str, list[Any]] = {}
    for name, value in (pair for document in documents for pair in _arguments(document)):
        found.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    return {name: tuple(values) for name, values in found.items()}


def _arguments(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is written under `arguments: {NAME: …}` or `arguments.NAME: …`, wherever in a text."""
    for key, value in part.items() if isinstance(part, Mapping) else ():
        root, dot, name = str(key).partition(".")
        if root == "arguments" and dot:
            yield name, value
        elif root == "arguments" and isinstance(value, Mapping):
            yield from ((str(name), inner) for name, inner in value.items())
        else:
            yield from _arguments(value)
    for inner in part if isinstance(part, list) else ():
        yield from _arguments(inner)


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
