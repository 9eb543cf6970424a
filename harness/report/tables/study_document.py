"""Any study's own table: a row per trial; its metrics over the seeds, the number of parameters and of
multiply-accumulates.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError
from harness.report.claims.study_claims import study_findings
from harness.report.claims.study_words import line_of, summary
from harness.report.document import Cell, DocColumn, DocRow, Document, Footnote, Marks, Note
from harness.report.printing import NOTHING, fitted, number
from harness.report.tables.compare import RowStatistics, images_of
from harness.report.tables.declared import baseline_of, measured_notes, metric_named, metrics_of_all, position
from harness.report.tables.match import device_of
from harness.report.tables.provenance import accepted_remarks, code_remarks, short, threads_of, with_set
from harness.report.tables.selection import pick
from harness.report.tables.study_statistics import StudyColumn, study_rows, study_tables
from harness.report.tables.table import NumberFormat
from harness.report.tables.uncertainty import accuracy_note
from harness.stats.tests import deviation, mean
from harness.store.find import values as found_values
from harness.store.records import AttemptRecord, EvaluationRecord, Snapshot, StudyTrialRecord, TrialRecord
from harness.trial.function import RETURNED
from harness.trial.overrides import overrides, protocol_in_words, unstated

_COUNTS = {"parameters": "Parameters", "macs": "MACs"}


@dataclass(frozen=True)
class _Metric:
    """A column: one metric of one evaluation."""

    what: Metric
    evaluation: EvaluationRecord
    bold: bool  # is the best of the column set in bold?

    @property
    def name(self) -> str:
        """Its name, as it is stored."""
        return self.what.name

    @property
    def label(self) -> str:
        """Return "accuracy (mnist test)", with the condition where it is not clean; of a function the name alone."""
        if self.evaluation.key == RETURNED.key:
            return self.what.label
        return f"{self.what.label} ({self.evaluation.words})"


def study_document(
    snapshot: Snapshot,
    study: str,
    stand_ins: Mapping[str, str | None] | None = None,
    *,
    spec_sha: str | None = None,
    digits: int | None = None,
) -> Document:
    """Return a study's table: the trials that stand in it now, in order, mean ± sample deviation with n and the
    best of each metric, counts.

    `stand_ins` says of a dataset's name what it stands in for, or None. `spec_sha` is that of the text which the
    caller has of the study's file. So many `digits` are printed, by default as many as show the runs apart. If the
    study names a baseline, a small table per metric has the differences to it. Raises HarnessError where the study is
    not stored, or not with that text.
    """
    snapshot = snapshot.of_study(study)
    planned = planned_trials(snapshot, study, spec_sha)
    metrics = _metrics(snapshot, planned)
    counts = [name for name in _COUNTS if any(name in snapshot.trials[p.trial_key].costs for p in planned)]
    best = [_best(snapshot, metric, planned) for metric in metrics]
    forms = [_form(snapshot, metric, planned, digits) for metric in metrics]
    marks = Marks()
    rows, behind = [], []
    for entry in planned:
        trial = snapshot.trials[entry.trial_key]
        runs = _runs(snapshot, entry)
        behind += [(trial, run) for run in runs.values()]
        words = accepted_remarks(runs.values())
        changed = [] if entry.overrides is None else [with_set(entry.overrides)]
        line = [Cell(study, entry.name, "runs", ours=len(runs), text=f"{len(runs)} of {len(entry.seeds)}",
                     marks=marks((*changed, *words)))]  # fmt: skip
        for metric, top, form in zip(metrics, best, forms, strict=True):
            known = _known(snapshot, metric, runs, entry.seeds)
            shown = _result(entry, trial, metric, known, runs, form, marks)
            line.append(replace(shown, bold=metric.bold and _mean(known) == top))
        line += [_count(entry, trial, name) for name in counts]
        rows.append(DocRow(entry.name, tuple(line), _recipe(snapshot, entry), tuple(words), entry.overrides or ""))
    labels = [*(metric.label for metric in metrics), *(_COUNTS[name] for name in counts)]
    code = (Footnote("code", text) for text in code_remarks(behind))
    baseline, columns = _baseline(planned), study_columns(snapshot, planned, digits)
    return Document(
        title=f"Study {study}",
        caption="mean ± standard deviation over n seeds, and the best seed",
        columns=(DocColumn("Runs", is_value=False), *map(DocColumn, labels)),
        rows=tuple(rows),
        footnotes=(*marks.footnotes(), *code),
        notes=tuple(_notes(snapshot, planned, metrics, [run for _, run in behind], stand_ins or {})),
        compares=False,
        statistics=() if baseline is None else study_tables(snapshot, planned, columns, baseline),
        behind=tuple(behind),
    )


def study_statistics(snapshot: Snapshot, study: str, spec_sha: str | None = None) -> list[RowStatistics]:
    """Return the statistics of each trial and metric of a study, against its baseline, else its first trial.

    Raises HarnessError where the study is not stored.
    """
    snapshot = snapshot.of_study(study)
    planned = planned_trials(snapshot, study, spec_sha)
    columns = study_columns(snapshot, planned)
    return study_rows(snapshot, planned, columns, _baseline(planned) or planned[0].name)


def _baseline(planned: Sequence[StudyTrialRecord]) -> str | None:
    """Return the name of the trial that the others are held against, if the study says so and it stands there."""
    named = baseline_of(planned[0].spec_yaml)
    return named if named in {entry.name for entry in planned} else None


def study_columns(
    snapshot: Snapshot, planned: Sequence[StudyTrialRecord], digits: int | None = None
) -> list[StudyColumn]:
    """Return what is stored of each trial, at the seeds of the study, metric by metric."""
    columns = []
    for metric in _metrics(snapshot, planned):
        values = {}
        for entry in planned:
            known = _known(snapshot, metric, _runs(snapshot, entry), entry.seeds)
            values[entry.name] = {seed: value for seed, value in known.items() if value is not None}
        columns.append(StudyColumn(metric.label, metric.what, _form(snapshot, metric, planned, digits), values))
    return columns


def planned_trials(snapshot: Snapshot, study: str, spec_sha: str | None) -> list[StudyTrialRecord]:
    """Return the trials that stand in the study now, in its order."""
    chosen = snapshot.standing(study)
    if not chosen:
        raise HarnessError(f"no trial that stands in study '{study}' now is stored, only earlier ones")
    if spec_sha is not None and spec_sha not in {record.spec_sha for record in chosen}:
        raise HarnessError(f"study '{study}' is not stored as this file says (its text has changed)")
    return chosen


def _runs(snapshot: Snapshot, entry: StudyTrialRecord) -> dict[int, AttemptRecord]:
    runs = snapshot.runs(entry.trial_key)
    return {seed: runs[seed] for seed in entry.seeds if seed in runs}


def _metrics(snapshot: Snapshot, planned: Sequence[StudyTrialRecord]) -> list[_Metric]:
    """Return the metrics that any of the study's runs has, in order of the evaluations, the foremost of each first; of
    functions those that are declared, or all if none is.

    The best is set in bold if the trials or their study say which way is better: those of earlier versions do not, and
    their tables stay as they are.
    """
    runs = [run for entry in planned for run in _runs(snapshot, entry).values()]
    pairs = {pair for run in runs for pair in found_values(snapshot, run)}
    keys = [entry.trial_key for entry in planned]
    declared = metrics_of_all(snapshot, keys, planned[0].study)
    stored = {metric.name for key in keys for metric in snapshot.trials[key].metrics}
    names = {metric.name for metric in declared}
    return [
        _Metric(metric_named(declared, name), record, bold=name in names and (name in stored or key == RETURNED.key))
        for record in sorted(snapshot.evaluations.values(), key=lambda record: record.reading_order)
        for key, name in sorted(pairs, key=lambda pair: position(declared, pair[1]))
        if key == record.key and (key != RETURNED.key or not declared or name in names)
    ]


def _known(
    snapshot: Snapshot, metric: _Metric, runs: Mapping[int, AttemptRecord], seeds: Sequence[int]
) -> dict[int, float | None]:
    place = (metric.evaluation.key, metric.name)
    return {seed: found_values(snapshot, runs[seed]).get(place) if seed in runs else None for seed in seeds}


def _mean(known: Mapping[int, float | None]) -> float:
    """Return the mean of what is stored, nan where there is nothing."""
    stored = [value for value in known.values() if value is not None]
    return mean(stored) if stored else math.nan


def _best(snapshot: Snapshot, metric: _Metric, planned: Sequence[StudyTrialRecord]) -> float | None:
    """Return the best mean of a column; None where there are not two to choose from."""
    means = [_mean(_known(snapshot, metric, _runs(snapshot, entry), entry.seeds)) for entry in planned]
    numbers = [value for value in means if math.isfinite(value)]
    choose = max if metric.what.better == "higher" else min
    return choose(numbers) if len(numbers) > 1 else None


def _form(
    snapshot: Snapshot, metric: _Metric, planned: Sequence[StudyTrialRecord], digits: int | None = None
) -> NumberFormat:
    """Return how a column is printed: with so many digits, or as many as show its runs apart."""
    if digits is not None:
        return NumberFormat(digits=digits)
    known = (_known(snapshot, metric, _runs(snapshot, entry), entry.seeds) for entry in planned)
    return fitted(
        NumberFormat(digits=metric.what.digits), [value for row in known for value in row.values() if value is not None]
    )


def _recipe(snapshot: Snapshot, entry: StudyTrialRecord) -> str:
    """Return a trial's protocol with all that the study, or `--set`, overrides."""
    return protocol_in_words(entry.protocol_name, snapshot.trials[entry.trial_key].config)


def _result(
    entry: StudyTrialRecord,
    trial: TrialRecord,
    metric: _Metric,
    known: Mapping[int, float | None],
    runs: Mapping[int, AttemptRecord],
    form: NumberFormat,
    marks: Marks,
) -> Cell:
    """Return "0.9787 ± 0.0006 (n = 2, best 0.9791)"; a dash where nothing is stored."""
    stored = [value for value in known.values() if value is not None]
    broken = Counter(str(value) for value in stored if not math.isfinite(value))
    missing = [] if len(stored) == len(known) else [f"{len(stored)} of {len(known)} runs"]
    notes = [*missing, *([] if entry.overrides is None else [with_set(entry.overrides)])]
    notes += [*accepted_remarks(runs.values()), *(f"{word} among the values" for word in sorted(broken))]
    gave = (f"{count} of {len(stored)} runs gave {word}" for word, count in sorted(broken.items()))
    return Cell(
        table=entry.study,
        row=entry.name,
        column=metric.label,
        ours=mean(stored) if stored else None,
        unit=metric.what.unit,
        runs=len(stored),
        select="mean",
        values=tuple(known.values()),
        protocol=protocol_in_words(entry.protocol_name, trial.config),
        dataset=None if metric.evaluation.key == RETURNED.key else metric.evaluation.dataset,
        device=", ".join(sorted({device_of(run) for run in runs.values()})) or None,
        note="; ".join(notes) or None,
        text=_spread_text(known, metric, form) if stored else NOTHING,
        overrides=overrides(entry.protocol_name, trial.config),
        assumed=unstated(entry.protocol_name, trial.config),
        marks=marks((*missing, *gave)),
    )


def _spread_text(known: Mapping[int, float | None], metric: _Metric, form: NumberFormat) -> str:
    stored = [value for value in known.values() if value is not None]
    seed = pick(known, metric.what.better)
    best = None if seed is None else known[seed]
    sd = deviation(stored) if all(map(math.isfinite, stored)) else None
    spread = "" if sd is None else f" ± {number(sd, form)}"
    top = "" if best is None or len(stored) == 1 else f", best {number(best, form)}"
    return f"{number(mean(stored), form)}{spread} (n = {len(stored)}{top})"


def _count(entry: StudyTrialRecord, trial: TrialRecord, name: str) -> Cell:
    value = trial.costs.get(name)
    return Cell(
        table=entry.study,
        row=entry.name,
        column=name,
        ours=value,
        unit="count",
        values=() if value is None else (value,),
        protocol=protocol_in_words(entry.protocol_name, trial.config),
        text=NOTHING if value is None else f"{round(value):,}",
        overrides=overrides(entry.protocol_name, trial.config),
    )


def _notes(
    snapshot: Snapshot,
    planned: Sequence[StudyTrialRecord],
    metrics: Sequence[_Metric],
    runs: Sequence[AttemptRecord],
    stand_ins: Mapping[str, str | None],
) -> list[Note]:
    """What came of the study's claims, data (and what they stand in for), protocol, seeds, devices."""
    configs = [snapshot.trials[p.trial_key].config for p in planned]
    trained = [str(train) for config in configs if (train := config.get("data", {}).get("train"))]
    data = {f: snapshot.datasets[f].name if f in snapshot.datasets else short(f) for f in trained}
    evaluated = [metric.evaluation.dataset for metric in metrics if metric.evaluation.key != RETURNED.key]
    names = list(dict.fromkeys([*data.values(), *evaluated]))
    described = [f"{name} (a stand-in for {stand_ins[name]})" if stand_ins.get(name) else name for name in names]
    seeds = list(dict.fromkeys(seed for p in planned for seed in p.seeds))
    protocol, lines = _protocols(snapshot, planned)
    what = f"Data: {', '.join(described)}. Protocol: {protocol}" if described else f"Function: {protocol}"
    claims = study_findings(snapshot, planned[0].study)
    notes = [Note(f"Claims. {summary(claims)}", tuple(map(line_of, claims)))] if claims else []
    notes += [Note(f"{what}. Seeds: {', '.join(map(str, seeds))}.", lines)]
    if runs:
        devices = ", ".join(sorted({device_of(run) for run in runs}))
        notes.append(Note(f"{'Trained' if trained else 'Run'} on {devices}, {threads_of(runs)}."))
    tested = [metric.evaluation for metric in metrics if metric.evaluation.key != RETURNED.key]
    notes += map(Note, measured_notes(snapshot, [p.trial_key for p in planned], tested))
    return [*notes, *map(Note, _accuracy_notes(snapshot, metrics, runs)), *_left_out(snapshot, planned[0].study)]


def _protocols(snapshot: Snapshot, planned: Sequence[StudyTrialRecord]) -> tuple[str, tuple[str, ...]]:
    """Return the protocols of a study's trials, and if some are overridden in part of them, a line with the trials of
    each.
    """
    by: dict[str, list[str]] = {}
    for entry in planned:
        by.setdefault(_recipe(snapshot, entry), []).append(entry.name)
    names = dict.fromkeys(entry.protocol_name for entry in planned)
    if len(by) == len(names):
        return ", ".join(by), ()
    return ", ".join(names), tuple(f"{recipe}: {'; '.join(trials)}" for recipe, trials in by.items())


def _left_out(snapshot: Snapshot, study: str) -> Iterable[Note]:
    """Yield how many trials with runs the study once had and has no longer."""
    shown = {run.trial_key for place in snapshot.standing(study) for run in snapshot.runs(place.trial_key).values()}
    left = {place.trial_key for place in snapshot.places([study]) if not place.stands} - shown
    earlier = sum(bool(snapshot.runs(key)) for key in left)
    if earlier:
        trials = "1 trial of an earlier text" if earlier == 1 else f"{earlier} trials of earlier texts"
        are = "is" if earlier == 1 else "are"
        yield Note(f"{trials} of this study, or of earlier code, {are} stored and left out.")


def _accuracy_notes(snapshot: Snapshot, metrics: Sequence[_Metric], runs: Sequence[AttemptRecord]) -> Iterable[str]:
    """Yield what the standard error of one fraction of the images is on each test set."""
    by: dict[tuple[str, str, str, int], list[float]] = {}
    for metric in metrics:
        on = metric.evaluation
        images = images_of(snapshot, on.key)
        known = [found_values(snapshot, run).get((on.key, metric.name)) for run in runs]
        numbers = [value for value in known if value is not None and 0 <= value <= 1]
        if metric.what.counts_items and images and numbers:
            by.setdefault((metric.name, on.dataset, on.split, images), []).extend(numbers)
    for (name, _, _, images), numbers in by.items():
        yield accuracy_note(numbers, images, name)
