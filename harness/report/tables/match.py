"""How near a stored trial is to the cell that it fills, from comparing resolved configurations (never
names).

Another model, task or compressor never matches. Another numeric precision matches and is marked; another
recipe or other training data match only if the row lists them. A count of parameters follows from model
and compressors alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.base.keys import KEY_SCHEME, trial_key
from harness.report.tables.table import Row
from harness.store.records import AttemptRecord, Snapshot, TrialRecord
from harness.trial.counts import counts_of
from harness.trial.overrides import protocol_in_words

Match = Literal["exact", "other-device", "other-precision", "other-recipe", "stand-in"]
ORDER: tuple[Match, ...] = ("exact", "other-device", "other-precision", "other-recipe", "stand-in")
_MAY_DIFFER = frozenset({"data", "protocol"})


@dataclass(frozen=True)
class Candidate:
    """A stored trial that may stand in a row, and how it differs from what the row expects."""

    trial: TrialRecord
    differences: frozenset[Match]  # empty where the configuration is the expected one
    protocol: str  # by name, as a study called it
    dataset: str  # what it was trained on, by name
    named: bool  # does the row's study call it by the row's name?
    overrides: str | None = None  # by which `--set` made it; None where it is some study's own trial

    @property
    def recipe(self) -> str:
        """The protocol with all that the trial overrides."""
        return protocol_in_words(self.protocol, self.trial.config)

    @property
    def match(self) -> Match:
        """Return the worst of the differences."""
        return worst(self.differences)


def worst(differences: frozenset[Match]) -> Match:
    """Return the worst of these, "exact" where there is none."""
    return max(differences, key=ORDER.index, default="exact")


def differences(config: Mapping[str, Any], expected: Mapping[str, Any]) -> frozenset[Match] | None:
    """Return in what two resolved configurations differ; None where they are not comparable at all."""
    parts = (config.keys() | expected.keys()) - _MAY_DIFFER
    if any(config.get(part) != expected.get(part) for part in parts):
        return None
    found: set[Match] = set()
    ours, theirs = config.get("protocol", {}), expected.get("protocol", {})
    fields = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
    if fields == {"precision"}:
        found.add("other-precision")
    elif fields:
        found.add("other-recipe")
    if config.get("data") != expected.get("data"):
        found.add("stand-in")
    return frozenset(found)


def candidates(
    snapshot: Snapshot, row: Row, expected: Mapping[str, Any], *, protocol: str, dataset: str
) -> list[Candidate]:
    """Return the stored trials that may stand in a row, nearest first.

    `protocol` and `dataset` are the names that the table expects. Among equally near trials the one that
    the row names comes first, then the one that was planned last.
    """
    found = []
    planned = {record.trial_key: i for i, record in enumerate(snapshot.study_trials)}
    for key, trial in snapshot.trials.items():
        differs = differences(trial.config, expected)
        if differs is None:
            continue
        places = [record for record in snapshot.study_trials if record.trial_key == key]
        names = [record.protocol_name for record in places]
        data = dataset if "stand-in" not in differs else _dataset_name(snapshot, trial)
        if "other-recipe" in differs and not set(names) & set(row.also):
            continue
        if "stand-in" in differs and data not in row.stand_ins:
            continue
        named = any(
            (record.study, record.name) == (row.trial.study, row.trial.name) and record.overrides is None
            for record in places
        )
        made_by = None if any(record.overrides is None for record in places) or not places else places[-1].overrides
        found.append(Candidate(trial, differs, names[-1] if names else protocol, data, named, made_by))
    return sorted(found, key=lambda c: (ORDER.index(c.match), not c.named, -planned.get(c.trial.key, -1), c.trial.key))


def count_candidates(
    snapshot: Snapshot, expected: Mapping[str, Any], *, protocol: str, dataset: str
) -> list[Candidate]:
    """Return trials of the same task, model and compressors: what a count of parameters follows from.

    Their counts are those of the expected trial, whatever their protocols. The stored ones come first, then the
    expected one, counted now, unless only torch can count its network.
    """
    stored = [t.costs for _, t in sorted(snapshot.trials.items()) if differences(t.config, expected) is not None]
    key = trial_key(expected)
    return [
        Candidate(TrialRecord(key, KEY_SCHEME, expected, costs), frozenset(), protocol, dataset, named=False)
        for costs in (*stored, counts_of(expected) or {})
    ]


def _dataset_name(snapshot: Snapshot, trial: TrialRecord) -> str:
    fingerprint = str(trial.config.get("data", {}).get("train"))
    record = snapshot.datasets.get(fingerprint)
    return fingerprint if record is None else record.name


def device_of(attempt: AttemptRecord) -> str:
    """Return the model of the device on which an attempt ran, or what the harness calls it ("cpu")."""
    return str(attempt.environment.get("device") or attempt.device)


def same_device(name: str, paper: str | None) -> bool:
    """Return whether a device is the one that the paper names ("NVIDIA GeForce GTX 1070"), vendor's words
    aside.
    """
    return paper is not None and _model_words(name) == _model_words(paper)


def _model_words(name: str) -> list[str]:
    return [word for word in name.lower().split() if word not in {"nvidia", "geforce", "amd", "intel"}]
