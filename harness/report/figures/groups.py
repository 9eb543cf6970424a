"""Which runs are shown together in a figure: those of a trial, under the words of a table's row or of a study."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.attempt.metrics import Metric
from harness.report.tables.declared import metrics_of_all
from harness.report.tables.expected import expected_configs, networks
from harness.report.tables.match import candidates, of_trial
from harness.report.tables.table import Table
from harness.report.tables.table_file import load_paper_table
from harness.stats.tests import mean
from harness.store.find import values as known_results
from harness.store.records import AttemptRecord, EvaluationRecord, Snapshot, TrialRecord
from harness.trial.function import RETURNED


@dataclass(frozen=True)
class Group:
    """A trial's runs under a name. `remark` says how the trial differs from what the paper's row is, if it does."""

    label: str
    trial: TrialRecord
    runs: Mapping[int, AttemptRecord]  # by seed, in order
    protocol: str
    remark: str | None = None

    @property
    def compressors(self) -> Mapping[str, Mapping[str, object]]:
        """The compressors by site; none in a plain network."""
        found: Mapping[str, Mapping[str, object]] = self.trial.config.get("compressors", {})
        return found

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its compressors, each once."""
        return tuple(sorted({str(c.get("kind")) for c in self.compressors.values()}))

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides of its compressors, each once."""
        return tuple(sorted({int(str(c.get("stride", 0))) for c in self.compressors.values()}))


@dataclass(frozen=True)
class Score:
    """A group's results of one metric on one evaluation."""

    metric: Metric
    evaluation: str  # its key
    words: str  # "cifar10 test", with the condition if it is not clean
    values: Mapping[int, float]  # by seed

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return mean(list(self.values.values()))


def table_groups(snapshot: Snapshot, table: Table | None = None) -> list[Group]:
    """Return the trials of a table's rows (Table 1, if none is given) of which a run is stored, by their labels."""
    table = table or load_paper_table(1)
    named = table.match == "by trial"
    expected = networks(table) if named else expected_configs(table)
    names = {"protocol": table.expect.protocol_name, "dataset": table.expect.dataset}
    groups = []
    for row in table.rows:
        if named:
            found = of_trial(snapshot, table, row, table.columns[0], expected.get(row.label))
        else:
            found = candidates(snapshot, row, expected[row.label], **names)
        for candidate in found:
            runs = _in_order(snapshot.runs(candidate.trial.key))
            if runs:
                remark = None if candidate.match == "exact" else candidate.match
                groups.append(Group(row.label, candidate.trial, runs, candidate.protocol, remark))
                break
    return groups


def study_names(snapshot: Snapshot) -> list[str]:
    """Return the names of all studies of whose trials, as they are now, a run or a timing is stored, in order."""
    timed = {a.trial_key for a in snapshot.attempts if a.kind == "timing"}
    standing = [record for record in snapshot.study_trials if record.stands]
    return sorted({r.study for r in standing if r.trial_key in timed or snapshot.runs(r.trial_key)})


def study_groups(snapshot: Snapshot, study: str) -> list[Group]:
    """Return the trials that are in a study now, in its order; those without runs have none."""
    return [
        Group(
            record.name,
            snapshot.trials[record.trial_key],
            _in_order(snapshot.runs(record.trial_key)),
            record.protocol_name,
        )
        for record in snapshot.standing(study)
    ]


def foremost(snapshot: Snapshot, groups: Iterable[Group]) -> Metric | None:
    """Return the primary metric of some trials; None if nobody says what their metrics are."""
    return next(iter(metrics_of_all(snapshot, [group.trial.key for group in groups])), None)


def score(snapshot: Snapshot, groups: Sequence[Group]) -> dict[str, Score]:
    """Return each group's results of the primary metric by its label, all on one evaluation of a network.

    It is clean if any is, on the test split if any has it, else on the validation split; of several conditions the one
    whose options are most like those of the task that was trained. Groups without a number there are left out.
    """
    metric = foremost(snapshot, groups)
    found: dict[str, dict[str, dict[int, float]]] = {}
    for group in groups:
        for seed, run in group.runs.items():
            for (key, name), value in sorted(known_results(snapshot, run).items()):
                if metric is not None and name == metric.name and math.isfinite(value):  # else no number to draw
                    found.setdefault(key, {}).setdefault(group.label, {})[seed] = value

    def rank(key: str) -> tuple[Any, ...]:
        record = snapshot.evaluations[key]
        among = () if record.is_clean else (_distance(groups, record), record.reading_order)
        return (not record.is_clean, record.split != "test", -len(found[key]), *among, key)

    ranked = sorted(found.keys() - {RETURNED.key}, key=rank)
    if metric is None or not ranked:
        return {}
    words = snapshot.evaluations[ranked[0]].words
    return {label: Score(metric, ranked[0], words, values) for label, values in found[ranked[0]].items()}


def _distance(groups: Sequence[Group], record: EvaluationRecord) -> tuple[int, int]:
    """Return how far a condition is from what the groups trained for: options that differ from their task's, then,
    negative, those that are the same.
    """
    tasks = [group.trial.config["task"] for group in groups]
    same = [task.get(name) == value for task in tasks for name, value in record.options.items()]
    return (len(same) - sum(same), -sum(same))


def has_networks(groups: Sequence[Group]) -> bool:
    """Return whether any of the trials is of a network, and not of a person's own function."""
    return any("model" in group.trial.config for group in groups)


def title_of(metric: Metric | None) -> str:
    """Return how a heading names the primary metric: "Accuracy"."""
    return "Results" if metric is None else metric.title


def missing_score(snapshot: Snapshot, groups: Sequence[Group]) -> str:
    """Return why there is no result of networks to draw."""
    if groups and not has_networks(groups):
        return "a function has no network: its parameters and MACs are not counted"
    metric = foremost(snapshot, groups)
    return f"no {'result' if metric is None else metric.name} is stored"


def _in_order(runs: Mapping[int, AttemptRecord]) -> dict[int, AttemptRecord]:
    return dict(sorted(runs.items()))


def baseline_of(groups: Sequence[Group]) -> Group | None:
    """Return the first group without a compressor."""
    return next((group for group in groups if not group.compressors), None)
