"""A study's trials against its baseline, metric by metric: the small tables below its own table, and the rows of
`harness report statistics STUDY`.

Trials are compared over the seeds that both have, if one protocol trained both on the same data; else, as in every
table, they are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.attempt.metrics import Metric
from harness.report.document import Statistics, StatisticsTable
from harness.report.tables.compare import NO_SEED, UNKNOWN, UNLIKE, RowStatistics, corrected_rows
from harness.report.tables.statistics_table import small_table
from harness.report.tables.table import NumberFormat
from harness.stats.comparison import alike, difference, methods, paired_means, spread
from harness.stats.tests import deviation, mean
from harness.store.records import EvaluationRecord, Snapshot, StudyTrialRecord

Values = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class StudyColumn:
    """A metric of one evaluation, with what is stored of each trial, by its name."""

    label: str
    metric: Metric
    evaluation: EvaluationRecord
    form: NumberFormat
    values: Mapping[str, Values]


def study_tables(
    snapshot: Snapshot, planned: Sequence[StudyTrialRecord], columns: Sequence[StudyColumn], baseline: str
) -> tuple[StatisticsTable, ...]:
    """Return a small table for each metric: each trial over its seeds, and the differences to the baseline."""
    made = []
    for column in columns:
        rows = _statistics(snapshot, planned, column.values, baseline)
        shown = [(entry.name, rows.get(entry.name)) for entry in planned]
        made.append(small_table(column.label, column.metric.unit, column.form, baseline, shown, networks=False))
    return tuple(made)


def _statistics(
    snapshot: Snapshot, planned: Sequence[StudyTrialRecord], values: Mapping[str, Values], baseline: str
) -> dict[str, Statistics]:
    """Return the statistics of each trial of which something is stored; Holm's correction is over all compared."""
    configs = {entry.name: snapshot.trials[entry.trial_key].config for entry in planned}
    theirs, tests = values.get(baseline, {}), len(planned) - 1
    found: dict[str, Statistics | None] = {}
    for name, mine in values.items():
        if not mine:
            continue
        numbers = list(mine.values())
        bare = Statistics(tuple(mine), mean(numbers), deviation(numbers), None if name == baseline else baseline)
        if name == baseline:
            found[name] = bare
        elif not theirs:
            found[name] = replace(bare, note=UNKNOWN)
        elif not alike(configs[name], configs[baseline]):
            found[name] = replace(bare, note=UNLIKE)
        elif (over_seeds := difference(theirs, mine, tests)) is None:
            found[name] = replace(bare, note=NO_SEED)
        else:
            found[name] = replace(bare, difference=over_seeds, paired_means=paired_means(theirs, mine))
    return corrected_rows(found)


def study_rows(
    snapshot: Snapshot, planned: Sequence[StudyTrialRecord], columns: Sequence[StudyColumn], baseline: str
) -> list[RowStatistics]:
    """Return the statistics of each trial and metric of which something is stored, against the baseline."""
    configs = {entry.name: snapshot.trials[entry.trial_key].config for entry in planned}
    rows = []
    for column in columns:
        for name, mine in column.values.items():
            theirs, better = column.values.get(baseline, {}), column.metric.better
            compared = None
            if mine and theirs and name != baseline:
                compared = methods(theirs, mine, alike=alike(configs[baseline], configs[name]), better=better)
            if mine:
                against = None if name == baseline else baseline
                rows.append(
                    RowStatistics(column.label, name, column.metric.unit, spread(mine, better), None, against, compared)
                )
    return rows
