"""One tidy table of runs: a row per run, and each setting, metric, cost and time a column of its own.

    harness.load().tidy()                                # pandas (docs/python.md)
    harness results export --rows tidy --out runs.csv    # CSV or Parquet

Plots of any study (`harness/report/figures/kinds`) are drawn from it. What a study leaves at its default is no part of
a trial's configuration; the value is put in again where it is known: of our models, and of a function's argument if the
study's text lists values of it of which no trial has one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.attempt.metrics import Metric
from harness.base.keys import canonical_json
from harness.report.tables.declared import metric_named, metrics_of_all
from harness.report.tables.match import device_of
from harness.store.circumstances import flat
from harness.store.find import metric_words, values
from harness.store.records import AttemptRecord, Snapshot, StudyTrialRecord, TrialRecord
from harness.trial.models import MODELS
from harness.trial.overrides import protocol_in_words

Row = Mapping[str, Any]
TIDY: Mapping[str, type] = {
    "study": str, "trial": str, "seed": int, "attempt": str, "state": str, "task": str, "model": str, "dataset": str,
    "protocol": str, "device": str, "threads": int, "started": str, "seconds": float,
}  # fmt: skip
"""The columns that every run has; settings, results, costs and times come after them."""
_MAY_BE_SETTINGS = ("model", "dataset")
_ARGUMENT, _COMPRESSOR, _SITES = "arguments.", "compressor.", "compressors."
_NO_SETTINGS = ("task.kind.", "task.code.", "task.target.", "model.kind.", "model.code.", "data.", "compressors.")
"""Parts of a configuration that other columns say, or that are digests."""


@dataclass(frozen=True)
class Tidy:
    """Runs as rows of plain values, None if a run lacks one, and what the columns are."""

    rows: tuple[Row, ...]
    columns: Mapping[str, type]
    settings: tuple[str, ...]  # the columns in which what was run differs
    metrics: Mapping[str, Metric]  # by column, the primary first: what the study declares, and no other number
    baselines: tuple[str, ...] = ()  # the trials that studies name so

    def table(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as `harness.store.flat` writes them."""
        return (tuple(row[name] for name in self.columns) for row in self.rows)


def tidy(snapshot: Snapshot, studies: Sequence[str] | None = None) -> Tidy:
    """Return the runs that count, by study, trial and seed.

    A trial of several studies comes under the newest, unless studies are named. Raises HarnessError for a study that is
    not stored.
    """
    places = {place.trial_key: place for place in snapshot.places(studies)}
    ordered = sorted(places.values(), key=lambda place: (place.study, place.position, place.trial_key))
    runs = [
        (place, attempt)
        for place in ordered
        for _, attempt in sorted(snapshot.runs(place.trial_key).items(), key=lambda item: item[0])
    ]
    names = _metric_names(snapshot, [attempt for _, attempt in runs])
    texts = {place.study: place.spec_yaml for place in ordered}
    defaults = {study: _defaults(snapshot, study, text) for study, text in texts.items()}
    trials = {place.trial_key: _trial(snapshot, place, defaults[place.study]) for place in ordered}
    found = [_parts(snapshot, trials[place.trial_key], attempt, names) for place, attempt in runs]
    sites = _apart(found)
    settings = [_settings(part.settings, sites) for part in found]
    arguments = {name for each in settings for name in each if name.startswith(_ARGUMENT)}
    varying = _varying(settings)
    kept = [name for name in dict.fromkeys(name for each in settings for name in each) if name in arguments | varying]
    columns, rows, called = _columns(found, settings, kept)
    declared = metrics_of_all(snapshot, [place.trial_key for place, _ in runs])
    known = {metric.name: at for at, metric in enumerate(declared)}
    ranked = sorted(
        (known[name], at, words, name) for at, (words, (_, name)) in enumerate(names.items()) if name in known
    )
    more = _varying([{name: part.run[name] for name in _MAY_BE_SETTINGS} for part in found])
    return Tidy(
        rows=tuple(rows),
        columns=columns,
        settings=(*(name for name in _MAY_BE_SETTINGS if name in more), *(name for name in kept if name in varying)),
        metrics={
            called[words]: replace(metric_named(declared, name), name=called[words]) for _, _, words, name in ranked
        },
        baselines=tuple(_baselines(ordered)),
    )


@dataclass(frozen=True)
class _Parts:
    """What the columns of a run are made from."""

    run: Row
    settings: Row
    results: Row
    numbers: Row  # costs and times


_Place = tuple[str, str]  # of a result: evaluation key, metric


@dataclass(frozen=True)
class _Trial:
    """What all runs of a trial share."""

    run: Row
    settings: Row
    costs: Row


def _trial(snapshot: Snapshot, place: StudyTrialRecord, defaults: Row) -> _Trial:
    trial = snapshot.trials[place.trial_key]
    config, data = trial.config, trial.config.get("data")
    known = snapshot.datasets.get(str(data.get("train"))) if isinstance(data, Mapping) else None
    run = {
        "study": place.study,
        "trial": place.name,
        "task": config["task"]["kind"],
        "model": config.get("model", {}).get("kind"),
        "dataset": None if known is None else known.name,
        "protocol": protocol_in_words(place.protocol_name, config),
    }
    return _Trial(run, _written(trial, defaults), trial.costs)


def _parts(snapshot: Snapshot, trial: _Trial, attempt: AttemptRecord, names: Mapping[str, _Place]) -> _Parts:
    begun, ended = (datetime.fromisoformat(str(time)) for time in (attempt.started, attempt.ended))
    run = {
        **trial.run,
        "seed": attempt.seed,
        "attempt": attempt.uid,
        "state": attempt.state,
        "device": device_of(attempt),
        "threads": attempt.threads,
        "started": attempt.started,
        "seconds": (ended - begun).total_seconds(),
    }
    found = values(snapshot, attempt)
    alone = {name: value for (_, name), value in found.items() if name in names}
    return _Parts(
        run={name: run[name] for name in TIDY},
        settings=trial.settings,
        results={words: found[at] for words, at in names.items() if at in found} | alone,
        numbers={**trial.costs, **attempt.measures},
    )


def _metric_names(snapshot: Snapshot, attempts: Iterable[AttemptRecord]) -> dict[str, _Place]:
    """Return the columns of results: a metric's name alone if no run has two results of it, else with its evaluation.

    Of a name alone the place is any of those that runs have.
    """
    several: set[str] = set()
    places: dict[_Place, None] = {}
    for attempt in attempts:
        found = sorted(values(snapshot, attempt), key=lambda at: snapshot.evaluations[at[0]].reading_order)
        names = [name for _, name in found]
        several |= {name for name in names if names.count(name) > 1}
        places.update(dict.fromkeys(found))
    return {(metric_words(snapshot, at) if at[1] in several else at[1]): at for at in places}


def _written(trial: TrialRecord, defaults: Row) -> dict[str, Any]:
    """Return a trial's settings by dotted path; those of compressors by site, the sites under "at"."""
    config = trial.config
    found = {path: _plain(value) for path, value in flat(config).items() if not f"{path}.".startswith(_NO_SETTINGS)}
    if isinstance(config.get("model"), Mapping) and (model := MODELS.get(str(config["model"].get("kind")))):
        for option, field in model.options.model_fields.items():
            if field.default is None or isinstance(field.default, str | int | float):
                found.setdefault(f"model.{option}", field.default)
    if "compressors" in config:
        sites = {path: _plain(value) for path, value in flat(config["compressors"], _SITES).items()}
        return {"at": ", ".join(config["compressors"]) or None, **sites, **found}
    found.pop("arguments", None)  # there are none
    ordered = {**dict.fromkeys(defaults), **found}
    return {name: found.get(name, defaults.get(name)) for name in ordered}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | None) else canonical_json(value)


def _apart(found: Sequence[_Parts]) -> bool:
    """Return whether any run has compressors that share no setting of one name, so that sites have columns."""
    return any(len(set(each)) > 1 for part in found for each in _by_option(part.settings).values())


def _by_option(settings: Row) -> dict[str, list[Any]]:
    """Return the values at all sites by the compressors' option."""
    found: dict[str, list[Any]] = {}
    for path, value in settings.items():
        if path.startswith(_SITES):
            found.setdefault(path.rpartition(".")[2], []).append(value)
    return found


def _settings(settings: Row, sites: bool) -> dict[str, Any]:
    """Return the settings with those of all compressors as `compressor.OPTION`, if there are no columns by site."""
    if sites:
        return dict(settings)
    shared = {f"{_COMPRESSOR}{option}": each[0] for option, each in _by_option(settings).items()}
    rest = {path: value for path, value in settings.items() if not path.startswith(_SITES)}
    return {**({"at": rest.pop("at")} if "at" in rest else {}), **shared, **rest}


def _varying(settings: Sequence[Row]) -> set[str]:
    """Return the names under which any two have different values; a missing one differs from each other."""
    names = {name for each in settings for name in each}
    return {name for name in names if len({_hashable(each.get(name)) for each in settings}) > 1}


def _hashable(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _columns(
    found: Sequence[_Parts], settings: Sequence[Row], kept: Sequence[str]
) -> tuple[dict[str, type], list[dict[str, Any]], dict[str, str]]:
    """Return the columns with their types, the rows, and the column of each result by its name."""
    columns: dict[str, type] = dict(TIDY)
    rows = [dict(part.run) for part in found]

    def add(kind: str, parts: Sequence[Row], names: Iterable[str]) -> dict[str, str]:
        called = {name: f"{kind}.{name}" if name in columns else name for name in names}
        for name, column in called.items():
            each = [part.get(name) for part in parts]
            columns[column] = _type(each)
            for row, value in zip(rows, each, strict=True):
                row[column] = str(value) if columns[column] is str and value is not None else value
        return called

    add("setting", settings, kept)
    results, numbers = [part.results for part in found], [part.numbers for part in found]
    called = add("result", results, _names(results))
    add("number", numbers, _names(numbers))
    return columns, rows, called


def _names(parts: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part))


def _type(each: Iterable[Any]) -> type:
    """Return bool, int or float if all values are, else str."""
    kinds = {type(value) for value in each if value is not None}
    if kinds <= {int, float} and kinds:
        return float if float in kinds else int
    return kinds.pop() if len(kinds) == 1 and kinds <= {bool, str} else str


def _baselines(places: Iterable[StudyTrialRecord]) -> Iterator[str]:
    from harness.report.tables.declared import baseline_of

    names = dict.fromkeys((place.study, baseline_of(place.spec_yaml)) for place in places)
    return (name for _, name in names if name is not None)


def _defaults(snapshot: Snapshot, study: str, spec_yaml: str) -> dict[str, Any]:
    """Return a function's defaults by `arguments.NAME`, in the order of the study's text; None of those not known.

    A value at its default is left out of a trial's configuration. So if the text gives an argument several values, of
    which all but one are in configurations, that one is the default.
    """
    calls = [snapshot.trials[place.trial_key].config.get("arguments", {}) for place in snapshot.places([study])]
    found = {}
    for name, listed in _arguments_said(spec_yaml).items():
        given = [call[name] for call in calls if name in call]
        left = [value for value in listed if not any(_same(value, other) for other in given)]
        found[f"{_ARGUMENT}{name}"] = _plain(left[0]) if len(left) == 1 and len(given) < len(calls) else None
    return found


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


@lru_cache(maxsize=64)
def _arguments_said(spec_yaml: str) -> dict[str, list[Any]]:
    """Return every plain value that a study's text gives to an argument, wherever in it, each once."""
    try:
        documents = list(YAML(typ="safe", pure=True).load_all(spec_yaml))
    except YAMLError:
        return {}
    found: dict[str, list[Any]] = {}
    for name, value in _arguments_in(documents):
        if not any(_same(value, other) for other in found.get(name, [])):
            found.setdefault(name, []).append(value)
    return found


def _arguments_in(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield each plain value that a part of a study gives to an argument: `arguments.rate: [0.1, 0.2]`."""
    for key, value in part.items() if isinstance(part, Mapping) else ():
        if isinstance(key, str) and key.startswith(_ARGUMENT):
            yield from ((key.removeprefix(_ARGUMENT), leaf) for leaf in _leaves(value))
        elif key == "arguments" and isinstance(value, Mapping):
            yield from ((str(name), leaf) for name, inner in value.items() for leaf in _leaves(inner))
        else:
            yield from _arguments_in(value)
    for each in part if isinstance(part, list) else ():
        yield from _arguments_in(each)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | Mapping):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(each)
    else:
        yield value
