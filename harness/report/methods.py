"""Two trials as methods: compared over their seeds, metric by metric, paired if one protocol trained both."""

from collections.abc import Mapping, Sequence
from functools import partial

from harness.attempt.messages import Sample
from harness.base.errors import HarnessError, did_you_mean
from harness.report.tables.declared import metric_named, metrics_of, position
from harness.stats.comparison import Methods, alike, methods
from harness.store.connection import Store
from harness.store.find import items, metric_words, study_trials, values
from harness.store.queries import samples
from harness.store.records import AttemptRecord, Snapshot


def trial_named(found: Snapshot, text: str) -> str | None:
    """Return the key of the trial that a text names, STUDY:TRIAL; None if it is written as a run.

    Raises HarnessError for a study that is not stored, and a trial that it does not have.
    """
    study, _, name = text.partition(":")
    if not name:
        studies = sorted({place.study for place in found.study_trials if place.name == text})
        if studies and not any(attempt.uid.startswith(text) for attempt in found.attempts):
            raise HarnessError(f"'{text}' is a trial: write {' or '.join(f'{study}:{text}' for study in studies)}")
        return None
    trials = study_trials(found, study)
    if name not in trials and not name.rpartition(":")[2].isdecimal():
        raise HarnessError(f"study '{study}' has no trial '{name}'{did_you_mean(name, trials)}")
    return trials.get(name)


def compare_trials(
    store: Store, found: Snapshot, keys: tuple[str, str], metric: str | None, study: str
) -> dict[str, Methods]:
    """Return the comparison of two trials, by their keys, for each metric that both have.

    What is better is what `study` says. Raises HarnessError if they have none in common.
    """
    sides: list[dict[tuple[str, str], dict[int, float]]] = []
    for key in keys:
        by: dict[tuple[str, str], dict[int, float]] = {}
        for seed, run in sorted(found.runs(key).items()):
            for place, value in values(found, run).items():
                by.setdefault(place, {})[seed] = value
        sides.append(by)
    pairable = alike(*(found.trials[key].config for key in keys))
    shared = [place for place in sides[0] if place in sides[1] and metric in (None, place[1])]
    if not shared:
        raise HarnessError(f"the two have no {metric or 'metric'} in common")
    declared = metrics_of(found, keys[0], study)
    kept = [_items_of_all(store, found, list(found.runs(key).values())) for key in keys]
    return {
        metric_words(found, place): methods(
            sides[0][place],
            sides[1][place],
            alike=pairable,
            better=metric_named(declared, place[1]).better,
            items=_of_place(kept, place, metric_named(declared, place[1]).by_item),
        )
        for place in sorted(
            shared, key=lambda place: (found.evaluations[place[0]].reading_order, position(declared, place[1]))
        )
    }


def _items_of_all(store: Store, found: Snapshot, runs: Sequence[AttemptRecord]) -> dict[tuple[str, str], list[Sample]]:
    """Return what each of several runs kept of each image, by evaluation and name; of a place if all of them did."""
    kept = [items(found, run, partial(samples, store)) for run in runs]
    return {place: [each[place] for each in kept] for place in kept[0] if all(place in each for each in kept)}


def _of_place(
    items: Sequence[Mapping[tuple[str, str], list[Sample]]], place: tuple[str, str], name: str | None
) -> tuple[list[Sample], list[Sample]]:
    """Return both sides' values by image behind a metric, by the name that these have; empty if there are none."""
    a, b = ([] if name is None else side.get((place[0], name), []) for side in items)
    return a, b
