"""Which stored trials may fill a cell, and how near they are, from comparing resolved configurations (never names).

Another model, task or compressor never matches. Another numeric precision matches and is marked; another
recipe or other training data match only if the row lists them. A count of parameters follows from model
and compressors alone.

A table by trial names each cell's trial, with what the column adds (`where: {task.sigma: 20}`): for networks of the
paper that are a reconstruction. What a configuration would have to be is not known, so no cell is exact; but a row may
say which network it is (`model`, `compressors`), and then no other fills its cells. It may also name sets that are in
for the one it was tested on. The studies need not exist: a table of which nothing is stored has the paper's values, and
the counts of the networks that are named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.base.keys import KEY_SCHEME, trial_key
from harness.report.document import MATCHES, Match
from harness.report.tables.table import Column, Row, Table
from harness.store.records import AttemptRecord, Snapshot, TrialRecord
from harness.trial.counts import counts_of
from harness.trial.overrides import protocol_in_words

_MISSING = object()
_MAY_DIFFER = frozenset({"data", "protocol"})


@dataclass(frozen=True)
class Candidate:
    """A stored trial that may be in a row, and how it differs from what the row expects."""

    trial: TrialRecord
    differences: frozenset[Match]  # empty if the configuration is the expected one
    protocol: str  # by name, as a study called it
    dataset: str  # what it was trained on, by name
    named: bool  # does the row's study call it by the row's name?
    overrides: str | None = None  # by which `--set` made it; None if it is some study's own trial
    trained_on: str = ""  # said of a reconstruction, whose training data nobody can expect

    @property
    def recipe(self) -> str:
        """The protocol with all that the trial overrides."""
        return protocol_in_words(self.protocol, self.trial.config)

    @property
    def match(self) -> Match:
        """Return the worst of the differences."""
        return worst(self.differences)


def worst(differences: frozenset[Match]) -> Match:
    """Return the worst of these, "exact" if there is none."""
    return max(differences, key=MATCHES.index, default="exact")


def differences(config: Mapping[str, Any], expected: Mapping[str, Any]) -> frozenset[Match] | None:
    """Return in what two resolved configurations differ; None if they are not comparable at all."""
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
    """Return the stored trials that may be in a row, nearest first.

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
    return sorted(
        found, key=lambda c: (MATCHES.index(c.match), not c.named, -planned.get(c.trial.key, -1), c.trial.key)
    )


def of_trial(
    snapshot: Snapshot, table: Table, row: Row, column: Column, network: Mapping[str, Any] | None
) -> list[Candidate]:
    """Return the stored trials that a cell names, the one planned last first and what `--set` made of it last.

    Each of them again, behind all, for every set that may stand in for the table's. `network` is the row's model with
    its compressors as a configuration has them, None if the row does not say.
    """
    name = trial_of(row, column)
    planned = [r for r in snapshot.study_trials if (r.study, r.name) == (row.trial.study, name)]
    found = {}
    for record in reversed(planned):
        trial = snapshot.trials[record.trial_key]
        if network is not None and any(trial.config.get(part) != network[part] for part in network):
            continue
        if all(_takes(_at(trial.config, path), value) for path, value in column.where.items()):
            found[trial.key] = Candidate(
                trial,
                frozenset({"other-recipe"} if table.section else ()),  # a table of ours expects what its trials are
                record.protocol_name,
                table.expect.dataset,
                named=True,
                trained_on=_dataset_name(snapshot, trial) if trial.config.get("data") else "",
                overrides=record.overrides,
            )
    elsewhere = (
        replace(one, differences=one.differences | {"stand-in"}, dataset=dataset)
        for dataset in row.stand_ins
        for one in found.values()
    )
    return [*found.values(), *(elsewhere if column.source == "result" else ())]


def trial_of(row: Row, column: Column) -> str:
    """Return the name of a cell's trial, words of the column's `where` in braces filled: "Baseline, {task.sigma}"."""
    name = row.trial.name
    for path, value in column.where.items():
        name = name.replace(f"{{{path}}}", str(value))
    return name


def _takes(setting: object, value: object) -> bool:
    """Return if a trial's setting is `value`, or a range {from, to} that has it, or is not there at all."""
    if isinstance(setting, Mapping) and setting.keys() == {"from", "to"} and isinstance(value, int | float):
        return bool(setting["from"] <= value <= setting["to"])
    return setting in (value, _MISSING)


def _at(config: Mapping[str, Any], path: str) -> object:
    """Return what is at a dotted path; `_MISSING` where a configuration has no such setting: a classical method
    is not trained for a noise level, and differs by evaluation alone.
    """
    found: Any = config
    for word in path.split("."):
        if not isinstance(found, Mapping) or word not in found:
            return _MISSING
        found = found[word]
    return found


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


def reconstruction(network: Mapping[str, Any], dataset: str) -> Candidate:
    """Return a network with its counts, of which nothing need be stored: parameters follow from model and compressors.

    It has no counts if only torch can count it.
    """
    costs = counts_of(network) or {}
    return Candidate(TrialRecord("", KEY_SCHEME, network, costs), frozenset({"other-recipe"}), "", dataset, named=False)


def _dataset_name(snapshot: Snapshot, trial: TrialRecord) -> str:
    fingerprint = str(trial.config.get("data", {}).get("train"))
    record = snapshot.datasets.get(fingerprint)
    return fingerprint if record is None else record.name


def device_of(attempt: AttemptRecord) -> str:
    """Return the model of the device on which an attempt ran, or what the harness calls it ("cpu")."""
    return attempt.device_model


def same_device(name: str, paper: str | None) -> bool:
    """Return whether a device is the one that the paper names ("NVIDIA GeForce GTX 1070"), vendor's words
    aside.
    """
    return paper is not None and _model_words(name) == _model_words(paper)


def _model_words(name: str) -> list[str]:
    return [word for word in name.lower().split() if word not in {"nvidia", "geforce", "amd", "intel"}]
