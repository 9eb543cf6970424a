"""What the store gives to those who read it: plain frozen records, joined by keys.

A `Snapshot` is everything that a table, a plan or an export needs, read in one transaction.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from harness.attempt.data import DatasetSplit
from harness.attempt.messages import ENDED_WELL, Sample, option_in_words
from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, did_you_mean


@dataclass(frozen=True)
class DatasetRecord:
    """A split of a dataset, known by its contents."""

    name: str
    split: str
    fingerprint: str
    images: int
    bytes: int


@dataclass(frozen=True)
class TrialRecord:
    """What was or is to be trained: the resolved configuration and what it costs."""

    key: str
    key_scheme: int
    config: Mapping[str, Any]
    costs: Mapping[str, float] = field(default_factory=dict)  # parameters, variables, macs, paper_flops …
    metrics: tuple[Metric, ...] = ()  # of its evaluations, the primary first; none of trials of earlier versions

    @property
    def is_trained(self) -> bool:
        """Whether it is a network that is trained; a classical method, published weights and a function are not."""
        return "protocol" in self.config


@dataclass(frozen=True)
class StudyTrialRecord:
    """A trial's place in a study.

    One name may have had several trials (edited files, --set): the newest of the study's own is last, behind all that
    `--set` made.
    """

    study: str
    name: str
    position: int
    trial_key: str
    seeds: tuple[int, ...]
    protocol_name: str
    spec_yaml: str
    spec_sha: str
    created: str  # of the study row, ISO 8601
    added: str = ""  # when the trial last stood in the study
    overrides: str | None = None  # by which `--set` made it of the study's own trial
    evaluations: tuple[str, ...] | None = None  # keys of those that the study asks for; None if nobody knows

    @property
    def stands(self) -> bool:
        """Whether the trial is in the study now: one of an earlier text, or of other code, does no longer."""
        return self.added == self.created


@dataclass(frozen=True)
class StudyTrialRow:
    """A trial as a study names it, on its way into the store."""

    name: str
    position: int
    key: str
    key_scheme: int
    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    protocol_name: str
    datasets: tuple[DatasetSplit, ...] = ()  # what it trains on and is evaluated on
    metrics: tuple[Metric, ...] = ()
    overrides: str | None = None  # by which `--set` made it of the study's own trial
    evaluations: tuple[str, ...] | None = None  # keys of those that the study asks for; None if nobody knows


_DIGITS = 8  # of a digest, for people


def _plain(value: Any) -> Any:
    """Return a number as it is written: 25, not 25.0."""
    return f"{value:g}" if isinstance(value, float) else value


@dataclass(frozen=True)
class EvaluationRecord:
    """A split under a condition."""

    key: str
    dataset: str
    split: str
    fingerprint: str
    condition: Mapping[str, Any]
    trial_names: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """STUDY: TRIAL by its key, of the trials whose runs a condition may name."""
    apart: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Whose digest its words need: of the "weights" of a run, of the "data", of the "evaluation" (`told_apart`)."""

    @property
    def is_clean(self) -> bool:
        """Whether the condition changes nothing."""
        return self.condition.get("kind") is None or dict(self.condition) == {"kind": "clean"}

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the condition, without its kind."""
        return {name: value for name, value in sorted(self.condition.items()) if name != "kind"}

    @property
    def spoken(self) -> Mapping[str, Any]:
        """The condition for people, without `kind: clean`: a part of it in words, a run by its study and trial."""
        given = sorted(self.condition.items())
        digests = {"data": self.fingerprint, "evaluation": self.key}
        return {
            **{name: self._in_words(value) for name, value in given if (name, value) != ("kind", "clean")},
            **{what: digest[:_DIGITS] for what, digest in digests.items() if what in self.apart},
        }

    def _in_words(self, value: Any) -> Any:
        name = self.trial_names.get(str(value.get("trial"))) if isinstance(value, Mapping) else None
        if name is None:
            return option_in_words(value)
        rest = {k: v for k, v in value.items() if k not in {"kind", "trial", "seed", "weights"}}
        weights = f", weights {str(value.get('weights'))[:_DIGITS]}" if "weights" in self.apart else ""
        return f"{name}, seed {value.get('seed')}{weights}{f', {option_in_words(rest).strip()}' if rest else ''}"

    @property
    def runs(self) -> dict[tuple[str, Any], str]:
        """The digest of the weights of each run that the condition names, by its trial in words and its seed."""
        parts = [part for part in self.condition.values() if isinstance(part, Mapping)]
        named = [(self.trial_names.get(str(part.get("trial"))), part) for part in parts]
        return {(name, part.get("seed")): str(part.get("weights")) for name, part in named if name is not None}

    @property
    def words(self) -> str:
        """Return "cifar10 test", with the condition if it is not clean: "signals test, noisy, sigma 0.4"."""
        given = {name: _plain(value) for name, value in self.spoken.items()}
        under = [str(value) if name == "kind" else f"{name} {value}" for name, value in given.items()]
        return ", ".join([f"{self.dataset} {self.split}", *under])

    @property
    def reading_order(self) -> tuple[Any, ...]:
        """By which evaluations are sorted for people: clean before other conditions, options by their numbers."""
        numbers = [
            (name, float(value), "") if isinstance(value, int | float) else (name, math.inf, str(value))
            for name, value in self.options.items()
        ]
        kind = str(self.condition.get("kind", ""))
        return (self.dataset, self.split, not self.is_clean, kind, numbers, self.key)


def told_apart(records: Mapping[str, EvaluationRecord]) -> dict[str, EvaluationRecord]:
    """Return evaluations by key, no two of them with the same words: those that would have the same get a digest.

    A run that was trained again has the study, trial and seed of before: then its weights are named wherever it is.
    """
    weights: defaultdict[tuple[str, Any], set[str]] = defaultdict(set)
    for record in records.values():
        for run, digest in record.runs.items():
            weights[run].add(digest)
    again = {run for run, digests in weights.items() if len(digests) > 1}
    told = {k: replace(r, apart=r.apart | {"weights"}) if again & r.runs.keys() else r for k, r in records.items()}
    for what in ("data", "evaluation"):
        alike: defaultdict[str, list[EvaluationRecord]] = defaultdict(list)
        for record in told.values():
            alike[record.words].append(record)
        for group in alike.values():
            if len(group) > 1 and (what == "evaluation" or len({record.fingerprint for record in group}) > 1):
                told |= {record.key: replace(record, apart=record.apart | {what}) for record in group}
    return told


@dataclass(frozen=True)
class AcceptanceRecord:
    """A person's word that an edit of code or inputs changes nothing: the runs of `old_key` count for `key` too."""

    key: str
    old_key: str
    author: str
    reason: str
    accepted: str  # when, ISO 8601, UTC

    @property
    def in_words(self) -> str:
        """What is to be said of such a run, after "it was"."""
        edit = f"an edit of code or inputs that {self.author} accepted on {self.accepted[:10]} as changing nothing"
        return f"made before {edit} ({self.reason}), and keeps its old key"


@dataclass(frozen=True)
class ClaimRecord:
    """A claim of a study as it was first stored. `content` is all that it says (`study.claims`)."""

    study: str
    name: str
    sha: str  # of what it says
    content: Mapping[str, Any]
    why: str
    position: int  # in the study's file
    entered: str  # when it was first stored, ISO 8601, UTC
    commit: str | None  # of the repository of the study's file then
    dirty: bool | None  # whether files differed from that commit
    known: tuple[int, ...]  # the seeds whose results were stored then
    stands: bool = True  # whether the study has it now
    changed: str = ""  # when it was entered, withdrawn or entered again
    changed_known: tuple[int, ...] = ()  # the seeds whose results were stored at that time

    @property
    def known_before(self) -> tuple[int, ...]:
        """The seeds whose results were known when it was entered, or entered again after it had been withdrawn."""
        again = self.changed_known if self.stands and self.changed > self.entered else ()
        return tuple(sorted({*self.known, *again}))


@dataclass(frozen=True)
class AttemptRecord:
    """One try at a run, with what it found. `accepted` is derived: see `queries.accepted`."""

    uid: str
    kind: str
    state: str
    trial_key: str
    seed: int
    device: str
    threads: int
    exclusive: bool
    execution: Mapping[str, Any]
    environment: Mapping[str, Any]
    code_digest: str | None
    started: str
    ended: str | None
    weights_from: str | None = None
    resumed_from: str | None = None
    supersedes: str | None = None
    error_kind: str | None = None
    error: str | None = None
    accepted: bool = False
    same_code: frozenset[str] = frozenset()  # digests of code that is shown to give the same bits: `same_code`
    results: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (evaluation key, name) → value
    measures: Mapping[str, float] = field(default_factory=dict)
    ordered: str | None = None  # by which the run's attempts are ordered, if `started` does not do it
    by_word: tuple[AcceptanceRecord, ...] = ()  # by which it counts for another trial than its own: `Snapshot.runs`

    @property
    def order(self) -> tuple[str, str]:
        """By what attempts at a run are ordered: the newest has the greatest."""
        return self.ordered or self.started, self.uid

    @property
    def device_model(self) -> str:
        """The model of the device on which it ran, or what the harness calls that ("cpu")."""
        return str(self.environment.get("device") or self.device)

    @property
    def seconds(self) -> float | None:
        """How long it took; None of one that has not ended."""
        if self.ended is None:
            return None
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()

    def is_of(self, digest: str) -> bool:
        """Return whether it ran the code of a digest, or code that is shown to give the same bits."""
        return digest == self.code_digest or digest in self.same_code


@dataclass(frozen=True)
class Snapshot:
    """All that is stored but curves, samples and artifacts, which are read where they are needed."""

    datasets: Mapping[str, DatasetRecord]  # by fingerprint
    trials: Mapping[str, TrialRecord]  # by key
    study_trials: tuple[StudyTrialRecord, ...]  # in order of study's creation, then position
    evaluations: Mapping[str, EvaluationRecord]  # by key
    attempts: tuple[AttemptRecord, ...]  # in order of their start
    acceptances: tuple[AcceptanceRecord, ...] = ()  # in order of their time
    claims: tuple[ClaimRecord, ...] = ()  # by study, those that are in the order of its file, then the withdrawn

    def places(self, studies: Collection[str] | None = None) -> tuple[StudyTrialRecord, ...]:
        """Return the trials' places in some studies, or in all, in their order.

        Raises HarnessError for a study that is not stored.
        """
        if studies is None:
            return self.study_trials
        known = {place.study for place in self.study_trials}
        for wanted in studies:
            if wanted not in known:
                raise HarnessError(f"no study '{wanted}' is stored{did_you_mean(wanted, known)}")
        return tuple(place for place in self.study_trials if place.study in studies)

    def standing(self, study: str) -> list[StudyTrialRecord]:
        """Return the places of the trials that are in a study now, in its order.

        Of a trial of the study's own and what `--set` made of it: the own one if a run of it is stored, or none of the
        other. Raises HarnessError for a study that is not stored.
        """
        places = sorted((p for p in self.places([study]) if p.stands), key=lambda p: p.position)
        if all(p.overrides is None for p in places):
            return places
        made = {p.position for p in places if p.overrides is not None and self.runs(p.trial_key)}
        own = {p.position for p in places if p.overrides is None and (p.position not in made or self.runs(p.trial_key))}
        return [p for p in places if (p.overrides is None) == (p.position in own)]

    def of_study(self, study: str) -> "Snapshot":
        """Return the same with only the results that a study asks for, as far as it is known which these are.

        A trial may be in two studies that evaluate it on different images, or under different conditions.
        """
        asked = self.asked(study)
        narrowed = tuple(_with_results(a, asked.get(a.trial_key)) for a in self.attempts)
        if all(one is other for one, other in zip(narrowed, self.attempts, strict=True)):
            return self  # with all that it has looked up
        return replace(self, attempts=narrowed)

    def asked(self, study: str) -> Mapping[str, Collection[str]]:
        """Return the keys of the evaluations that a study asks for, by trial; of a trial of which nobody knows, none.

        A trial may have several names in a study, each with evaluations of its own.
        """
        keys: defaultdict[str, set[str]] = defaultdict(set)
        places = [place for place in self.study_trials if place.study == study]
        for place in places:
            keys[place.trial_key] |= {*(place.evaluations or ())}
        unknown = {place.trial_key for place in places if place.evaluations is None}
        return {key: found for key, found in keys.items() if key not in unknown}

    def only(self, study: str) -> "Snapshot":
        """Return what is stored of one study alone: its trials, with the results that it asks for, and its claims.

        Raises HarnessError for a study that is not stored.
        """
        places = self.places([study])
        keys = {place.trial_key for place in places}
        while more := {word.old_key for word in self.acceptances if word.key in keys} - keys:
            keys |= more
        narrowed = self.of_study(study)
        return replace(
            narrowed,
            trials={key: trial for key, trial in self.trials.items() if key in keys},
            study_trials=places,
            attempts=tuple(a for a in narrowed.attempts if a.trial_key in keys),
            acceptances=tuple(word for word in self.acceptances if word.key in keys),
            claims=tuple(claim for claim in self.claims if claim.study == study),
        )

    def runs(self, trial_key: str) -> Mapping[int, AttemptRecord]:
        """Return the accepted attempt of each of a trial's runs, by seed.

        At a seed without one, that of a trial whose results count for this one by a person's word (`by_word`).
        """
        if (found := self._runs.get(trial_key)) is None:
            found = self._runs[trial_key] = {a.seed: a for a in self._counting_for(trial_key) if a.accepted}
        return found

    @cached_property
    def _runs(self) -> dict[str, Mapping[int, AttemptRecord]]:
        """What `runs` has found so far: it is asked for every run, and again for every cell of a table."""
        return {}

    def evaluated_later(self, uid: str) -> Sequence[AttemptRecord]:
        """Return the `evaluate` attempts from the weights of an attempt that ended well, oldest first.

        What is not trained has no weights: there it is each other attempt at the same run that has other evaluations,
        such as the one that another study, read from a file of its own, made on other images, with what was evaluated
        later of it; those by the code of this attempt come last, so that they are taken where another version
        evaluated the same.
        """
        return [*self._untrained_beside.get(uid, ()), *self._by_weights.get(uid, ())]

    @cached_property
    def _by_trial(self) -> Mapping[str, Sequence[AttemptRecord]]:
        return _grouped((a.trial_key, a) for a in self.attempts)

    @cached_property
    def _by_weights(self) -> Mapping[str, Sequence[AttemptRecord]]:
        later = (a for a in self.attempts if a.kind == "evaluate" and a.state in ENDED_WELL)
        return _grouped((a.weights_from, a) for a in later if a.weights_from is not None)

    @cached_property
    def _untrained_beside(self) -> Mapping[str, Sequence[AttemptRecord]]:
        runs: defaultdict[tuple[str, int], list[AttemptRecord]] = defaultdict(list)
        repeated = {a.supersedes for a in self.attempts}
        for a in self.attempts:
            if a.kind == "train" and a.state in ENDED_WELL and a.uid not in repeated:
                runs[a.trial_key, a.seed].append(a)
        several = [of for (key, _), of in runs.items() if len(of) > 1 and not self.trials[key].is_trained]
        return {a.uid: _with_more(a, self._with_later(b for b in of if b is not a)) for of in several for a in of}

    def _with_later(self, attempts: Iterable[AttemptRecord]) -> list[AttemptRecord]:
        return [each for a in attempts for each in (a, *self._by_weights.get(a.uid, ()))]

    def timings(self, trial_key: str) -> list[AttemptRecord]:
        """Return the finished timings of a trial, oldest first, those that count by a person's word before its own."""
        return [a for a in self._counting_for(trial_key) if a.kind == "timing" and a.state == "done"]

    def _counting_for(self, trial_key: str, above: tuple[str, ...] = ()) -> list[AttemptRecord]:
        """Return the attempts that count for a trial, its own last, so that at a seed these are taken."""
        counting = []
        for word in self._accepted_for.get(trial_key, ()):
            if word.old_key not in (*above, trial_key):
                older = self._counting_for(word.old_key, (*above, trial_key))
                counting += [replace(a, by_word=(*a.by_word, word)) for a in older]
        return [*counting, *self._by_trial.get(trial_key, ())]

    @cached_property
    def _accepted_for(self) -> Mapping[str, Sequence[AcceptanceRecord]]:
        words: defaultdict[str, list[AcceptanceRecord]] = defaultdict(list)
        for word in self.acceptances:
            words[word.key].append(word)
        return dict(words)


def _with_results(attempt: AttemptRecord, asked: Collection[str] | None) -> AttemptRecord:
    """Return an attempt with the results on some evaluations alone; with all, if `asked` is None."""
    if asked is None or all(key in asked for key, _ in attempt.results):
        return attempt
    return replace(attempt, results={place: value for place, value in attempt.results.items() if place[0] in asked})


def _with_more(attempt: AttemptRecord, others: Iterable[AttemptRecord]) -> Sequence[AttemptRecord]:
    """Return the attempts with results that one lacks, those by other code first, each kind in the order given."""
    more = [b for b in others if b.results.keys() - attempt.results.keys()]
    return sorted(more, key=lambda b: b.code_digest == attempt.code_digest)


def _grouped(pairs: Iterable[tuple[str, AttemptRecord]]) -> Mapping[str, Sequence[AttemptRecord]]:
    """Return attempts by key, each list in their order."""
    groups: defaultdict[str, list[AttemptRecord]] = defaultdict(list)
    for key, attempt in pairs:
        groups[key].append(attempt)
    return dict(groups)


__all__ = [
    "AcceptanceRecord",
    "AttemptRecord",
    "ClaimRecord",
    "DatasetRecord",
    "EvaluationRecord",
    "Sample",
    "Snapshot",
    "StudyTrialRecord",
    "StudyTrialRow",
    "TrialRecord",
]
