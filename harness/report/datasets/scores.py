"""The scores of a study as methods × data sets × seeds.

Which data set a run is of, the evaluation says (of networks), or a setting of its trial (of a person's function). What
else its trial sets, as far as it differs between trials of one data set, is its method. A data set counts with the
seeds that all methods have run on it, so that each method has met the same splits and batches.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, did_you_mean
from harness.base.keys import canonical_json
from harness.report.tables.declared import baseline_of, written_arguments
from harness.report.tables.pivot import setting
from harness.report.tables.study_document import planned_trials, study_columns
from harness.report.tables.study_statistics import StudyColumn
from harness.store.records import Snapshot
from harness.trial.function import RETURNED

DATASET = "dataset"
_USUAL = ("arguments.dataset", "arguments.data", "arguments.data_set")
"""Settings of a function's trials that are its data set, if nobody says another."""

_Path = tuple[str, ...]
_Settings = Mapping[_Path, str]
_Config = Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """One metric of a study; `runs[method][dataset]` holds its values by seed, the same seeds for all methods."""

    study: str
    metric: Metric
    condition: str  # of the evaluations, in words; "" if it changes nothing
    by: str  # the setting that is the data set
    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    runs: Mapping[str, Mapping[str, Mapping[int, float]]]
    baseline: str | None = None  # the method of the study's baseline
    left_out: tuple[str, ...] = ()  # in words: data sets, and seeds of them

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower score is better."""
        return self.metric.better == "lower"


def read_scores(
    snapshot: Snapshot,
    study: str,
    *,
    by: str | None = None,
    methods: Sequence[str] = (),
    metric: str | None = None,
    spec_sha: str | None = None,
) -> Scores:
    """Return a metric of a study, the primary one if none is named, by method and data set.

    `by` is the setting that is the data set, `methods` the settings that make a method, both dotted paths as in names
    of trials. Raises HarnessError if there are not two of both, or two trials are of one method and data set.
    """
    snapshot = snapshot.of_study(study)
    planned = planned_trials(snapshot, study, spec_sha)
    columns = _columns(study_columns(snapshot, planned), metric, study)
    spec = planned[0].spec_yaml
    configs = _with_defaults({entry.name: snapshot.trials[entry.trial_key].config for entry in planned}, spec)
    by = _by(by, columns, configs, study)
    places = _places(columns, configs, by)
    names = _method_names(places, configs, by, methods, study)
    baseline = baseline_of(spec)
    runs: dict[str, dict[str, dict[int, float]]] = {names[entry.name]: {} for entry in planned if entry.name in names}
    trials: dict[tuple[str, str], str] = {}
    for trial, dataset, values in places:
        cell = (names[trial], dataset)
        if cell in trials:
            raise HarnessError(
                f"'{trials[cell]}' and '{trial}' are both '{cell[0]}' on '{dataset}': --methods names the settings that"
                " make a method"
            )
        trials[cell] = trial
        runs[names[trial]][dataset] = dict(values)
    kept, left_out = _complete(runs)
    return Scores(
        study=study,
        metric=columns[0].metric,
        condition=_label(columns[0]).removeprefix(columns[0].metric.name).removeprefix(", "),
        by=by,
        methods=tuple(runs),
        datasets=tuple(kept),
        runs={
            method: {name: {seed: of[name][seed] for seed in kept[name]} for name in kept}
            for method, of in runs.items()
        },
        baseline=names.get(baseline or ""),
        left_out=tuple(left_out),
    )


def _with_defaults(configs: Mapping[str, _Config], spec_yaml: str) -> dict[str, _Config]:
    """Return configurations with the arguments that a trial does not store, since they are the function's defaults.

    An argument's default is the one value in the study's text that no trial stores; if there are several, it stays out.
    """
    stored = [dict(config.get("arguments", {})) for config in configs.values()]
    usual = {}
    for name, values in written_arguments(spec_yaml).items():
        left = [value for value in values if all(value != of.get(name) for of in stored)]
        if len({canonical_json(value) for value in left}) == 1:
            usual[name] = left[0]
    return {
        trial: {**config, "arguments": {**usual, **config["arguments"]}} if "arguments" in config else config
        for trial, config in configs.items()
    }


def _columns(columns: Sequence[StudyColumn], metric: str | None, study: str) -> list[StudyColumn]:
    """Return the columns of one metric under one condition: one per data set, or the only one of a function."""
    if not columns:
        raise HarnessError(f"no run of study '{study}' is stored; --from names other results")
    labels = list(dict.fromkeys(map(_label, columns)))
    meant = [column for column in columns if metric in {None, column.metric.name, _label(column)}]
    if not meant:
        raise HarnessError(f"study '{study}' has no metric '{metric}'{did_you_mean(str(metric), labels)}")
    kinds = dict.fromkeys((column.metric.name, _condition(column)) for column in meant)
    if metric is not None and len(kinds) > 1:
        alike = "; ".join(f"'{label}'" for label in dict.fromkeys(map(_label, meant)))
        raise HarnessError(f"study '{study}' has '{metric}' under several conditions: --metric takes one of {alike}")
    wanted = next(iter(kinds))
    return [column for column in meant if (column.metric.name, _condition(column)) == wanted]


def _condition(column: StudyColumn) -> str:
    return canonical_json([column.evaluation.split, dict(column.evaluation.spoken)])


def _label(column: StudyColumn) -> str:
    """Return "psnr_db, sigma 25": the metric, and the condition if it is not clean."""
    if column.evaluation.key == RETURNED.key:
        return column.metric.name
    _, *condition = column.evaluation.words.split(", ")
    return ", ".join([column.metric.name, *condition])


def _by(by: str | None, columns: Sequence[StudyColumn], configs: Mapping[str, _Config], study: str) -> str:
    """Return the setting that is the data set, checked."""
    function = columns[0].evaluation.key == RETURNED.key
    if by is None and not function:
        return DATASET
    wanted = _USUAL if by is None else (by,)
    for path in wanted:
        if (path == DATASET and not function) or len({setting(config, path) for config in configs.values()}) > 1:
            return path
    if by is not None:
        raise HarnessError(f"--by {by}: all trials of study '{study}' have the same, or none sets it")
    paths = sorted(".".join(path) for path in _differing([_settings(config) for config in configs.values()]))
    example = paths[0] if paths else "arguments.dataset"
    varying = f"its trials differ in {', '.join(paths)}" if paths else "its trials differ in nothing"
    raise HarnessError(f"study '{study}': --by says which setting is the data set, e.g. --by {example}; {varying}")


def _places(
    columns: Sequence[StudyColumn], configs: Mapping[str, _Config], by: str
) -> list[tuple[str, str, Mapping[int, float]]]:
    """Return each trial with its data set and values, in order of the study and its evaluations."""
    return [
        (trial, column.evaluation.dataset if by == DATASET else setting(configs[trial], by), values)
        for column in columns
        for trial, values in column.values.items()
        if values
    ]


def _method_names(
    places: Sequence[tuple[str, str, Mapping[int, float]]],
    configs: Mapping[str, _Config],
    by: str,
    methods: Sequence[str],
    study: str,
) -> dict[str, str]:
    """Return the method of each trial: the settings in which trials of one data set differ, or those that are named."""
    trials = list(dict.fromkeys(trial for trial, _, _ in places))
    if methods:
        named: list[_Path] = [(path,) for path in methods]
        chosen = {trial: {path: setting(configs[trial], path[0]) for path in named} for trial in trials}
        for path in named:
            if len({values[path] for values in chosen.values()}) < 2:
                raise HarnessError(f"--methods {path[0]}: all trials of study '{study}' have the same, or none sets it")
        return {trial: _named(values, named) for trial, values in chosen.items()}
    settings = {trial: _settings(configs[trial]) for trial in trials}
    of_dataset = tuple(by.split("."))
    differing: set[_Path] = set()
    for dataset in dict.fromkeys(dataset for _, dataset, _ in places):
        differing |= _differing([settings[trial] for trial, on, _ in places if on == dataset])
    paths = sorted(path for path in differing if path[: len(of_dataset)] != of_dataset and path[0] != "data")
    if not paths:
        raise HarnessError(f"study '{study}' has one method on each data set of '{by}': nothing to compare")
    return {trial: _named(settings[trial], paths) for trial in trials}


def _named(settings: _Settings, paths: Sequence[_Path]) -> str:
    """Return "forest" of one setting, of several "depth 3, model forest"."""
    values = [(path[-1].rpartition(".")[2], settings.get(path, "default")) for path in paths]
    return values[0][1] if len(values) == 1 else ", ".join(f"{name} {value}" for name, value in values)


def _settings(config: Mapping[str, Any]) -> _Settings:
    return dict(_leaves(config, ()))


def _leaves(value: Any, before: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*before, str(key)))
    else:
        yield before, value if isinstance(value, str) else canonical_json(value)


def _differing(settings: Sequence[_Settings]) -> set[_Path]:
    """Return the paths at which not all of some trials have the same."""
    paths = {path for each in settings for path in each}
    return {path for path in paths if len({each.get(path) for each in settings}) > 1}


def _complete(runs: Mapping[str, Mapping[str, Mapping[int, float]]]) -> tuple[dict[str, list[int]], list[str]]:
    """Return the data sets on which all methods have run, with the seeds that all have, and in words what is left out.

    A run that gave nan has no score: its data set is left out, since no mean over its seeds is right.
    """
    kept: dict[str, list[int]] = {}
    left_out = []
    for dataset in dict.fromkeys(name for of in runs.values() for name in of):
        missing = [method for method, of in runs.items() if dataset not in of]
        if missing:
            left_out.append(f"{dataset} (no run of {', '.join(missing)})")
            continue
        here = {method: of[dataset] for method, of in runs.items()}
        shared = sorted(set.intersection(*(set(values) for values in here.values())))
        broken = [method for method, values in here.items() if not all(math.isfinite(values[s]) for s in shared)]
        if broken or not shared:
            why = f"{', '.join(broken)} diverged, which speaks against it" if broken else "no seed that all have run"
            left_out.append(f"{dataset} ({why})")
            continue
        kept[dataset] = shared
        fewer = max(len(values) for values in here.values()) - len(shared)
        if fewer:
            left_out.append(f"{fewer} seed{'' if fewer == 1 else 's'} of {dataset} that not all methods have run")
    return kept, left_out


def count_datasets(snapshot: Snapshot, study: str) -> int:
    """Return on how many data sets the trials of a study are, by what is taken for them if nobody says; 0 of none."""
    planned = snapshot.standing(study)
    keys = {key for entry in planned for key in entry.evaluations or ()} - {RETURNED.key}
    names = {snapshot.evaluations[key].dataset for key in keys if key in snapshot.evaluations}
    stored = {entry.name: snapshot.trials[entry.trial_key].config for entry in planned}
    configs = _with_defaults(stored, planned[0].spec_yaml).values()
    settings = ({setting(config, path) for config in configs} for path in _USUAL)
    return max([len(names), *(len(values) for values in settings if len(values) > 1)])
