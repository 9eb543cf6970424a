"""A stored attempt by what a person calls it: the first digits of its uid, or STUDY:TRIAL:SEED for one that counts."""

from collections.abc import Callable, Iterable, Mapping

from harness.attempt.messages import Sample
from harness.base.errors import HarnessError, did_you_mean
from harness.store.records import AttemptRecord, Snapshot


def find_attempt(found: Snapshot, text: str) -> AttemptRecord:
    """Return the attempt that `text` names. Raises HarnessError if it names none, or several."""
    study, _, rest = text.partition(":")
    if rest:
        return _find_run(found, study, rest)
    matches = [attempt for attempt in found.attempts if attempt.uid.startswith(text)]
    studies = sorted({place.study for place in found.study_trials if place.name == text})
    if not matches and studies:
        raise HarnessError(f"'{text}' is a trial: write {' or '.join(f'{s}:{text}:SEED' for s in studies)}")
    if len(matches) != 1:
        how_many = f"{len(matches)} attempts begin" if matches else "no attempt begins"
        raise HarnessError(f"{how_many} with '{text}'; 'harness results list --all' lists them")
    return matches[0]


def study_trials(found: Snapshot, study: str) -> Mapping[str, str]:
    """Return the key of each trial of a study by its name: of one name's several, the newest.

    Raises HarnessError for a study that is not stored.
    """
    return {place.name: place.trial_key for place in found.places([study])}


def values(found: Snapshot, attempt: AttemptRecord) -> Mapping[tuple[str, str], float]:
    """Return what an attempt, and later evaluations from its weights, found: (evaluation key, name) → value."""
    later = found.evaluated_later(attempt.uid)
    if not later:
        return attempt.results
    return {place: value for each in (*later, attempt) for place, value in each.results.items()}


def items(
    found: Snapshot, attempt: AttemptRecord, samples: Callable[[str], Iterable[Sample]]
) -> dict[tuple[str, str], Sample]:
    """Return what an attempt, and later evaluations from its weights, kept of each item, under the same places.

    `samples` gives those of an attempt by its uid. Of a place that several evaluated, those of `values` are taken.
    """
    later = found.evaluated_later(attempt.uid)
    return {(sample.evaluation, sample.name): sample for each in (*later, attempt) for sample in samples(each.uid)}


def gave(found: Snapshot, attempt: AttemptRecord, places: Iterable[tuple[str, str]]) -> tuple[AttemptRecord, ...]:
    """Return the attempts that are behind values of `values`: of a trained network, that which trained it.

    What is not trained may have been evaluated by several attempts, on several machines: those that gave the values.
    """
    if found.trials[attempt.trial_key].is_trained:
        return (attempt,)
    by_place = {place: each for each in (*found.evaluated_later(attempt.uid), attempt) for place in each.results}
    return tuple({a.uid: a for place in places if (a := by_place.get(place))}.values())


def short_values(found: Snapshot, attempt: AttemptRecord) -> dict[str, float]:
    """Return the same by the metrics' names alone; in full words where the attempt has several of one name."""
    by_place = values(found, attempt)
    names = [name for _, name in by_place]
    return {
        name if names.count(name) == 1 else metric_words(found, (key, name)): value
        for (key, name), value in by_place.items()
    }


def metric_words(found: Snapshot, place: tuple[str, str]) -> str:
    """Return a metric for people: "mnist/test accuracy", and its condition where it is not clean."""
    key, name = place
    evaluation = found.evaluations[key]
    under = f" ({', '.join(f'{k} {v}' for k, v in evaluation.spoken.items())})" if evaluation.spoken else ""
    return f"{evaluation.dataset}/{evaluation.split} {name}{under}"


def _find_run(found: Snapshot, study: str, rest: str) -> AttemptRecord:
    name, _, seed = rest.rpartition(":")
    if not name or not seed.isdecimal():
        raise HarnessError(f"a run is written STUDY:TRIAL:SEED, not '{study}:{rest}'")
    trials = study_trials(found, study)
    if name not in trials:
        raise HarnessError(f"study '{study}' has no trial '{name}'{did_you_mean(name, trials)}")
    runs = found.runs(trials[name])
    if int(seed) not in runs:
        has = ", ".join(map(str, sorted(runs))) or "none"
        tried = _not_accepted(found, trials[name], int(seed))
        raise HarnessError(f"'{study}:{name}' has no accepted run with seed {seed}; it has: {has}{tried}")
    return runs[int(seed)]


def _not_accepted(found: Snapshot, key: str, seed: int) -> str:
    """Return how the newest attempt at a run that has no accepted one ended; "" if there was none."""
    tried = [a for a in found.attempts if (a.trial_key, a.seed, a.kind) == (key, seed, "train")]
    if not tried:
        return ""
    why = f" ({tried[-1].error})" if tried[-1].error else ""
    return f"; the newest attempt, {tried[-1].uid[:8]}: {tried[-1].state}{why}"
