"""Any study's own table: a row per trial; its metrics over the seeds, the number of parameters and of
multiply-accumulates.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError
from harness.report.claims.study_claims import study_findings
from harness.report.claims.study_words import line_of, summary
from harness.report.document import Cell, DocColumn, DocRow, Document, Footnote, Marks, Note
from harness.report.printing import NOTHING, fitted, number
from harness.report.tables.compare import RowStatistics, images_of
from harness.report.tables.declared import baseline_of, measured_notes, metric_named, metrics_of_all, position
from harness.report.tables.match import device_of
from harness.report.tables.provenance import accepted_remarks, code_remarks, ran_on, short, threads_of, with_set
from harness.report.tables.selection import pick
from harness.report.tables.study_statistics import StudyColumn, study_rows, study_tables
from harness.report.tables.table import NumberFormat
from harness.report.tables.uncertainty import accuracy_note
from harness.stats.tests import deviation, mean
from harness.store.find import gave
from harness.store.find import values as found_values
from harness.store.records import AttemptRecord, EvaluationRecord, Snapshot, StudyTrialRecord, TrialRecord
from harness.trial.function import RETURNED
from harness.trial.overrides import Recipe, recipe

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


@dataclass(frozen=True)
class _Stored:
    """A trial of the study with its runs at the study's seeds, what these found by evaluation and name, by whom."""

    place: StudyTrialRecord
    trial: TrialRecord
    runs: Mapping[int, AttemptRecord]
    found: Mapping[int, Mapping[tuple[str, str], float]]
    behind: Sequence[AttemptRecord]

    @property
    def name(self) -> str:
        return self.place.name

    @cached_property
    def recipe(self) -> Recipe:
        """Its protocol with all that the study, or `--set`, overrides."""
        return recipe(self.place.protocol_name, self.trial.config)

    def known(self, metric: _Metric) -> dict[int, float | None]:
        """Return a metric at each seed of the study, None if nothing is stored."""
        at = (metric.evaluation.key, metric.name)
        return {seed: self.found[seed].get(at) if seed in self.found else None for seed in self.place.seeds}


def study_document(
    snapshot: Snapshot,
    study: str,
    stand_ins: Mapping[str, str | None] | None = None,
    *,
    spec_sha: str | None = None,
    digits: int | None = None,
) -> Document:
    """Return a study's table: the trials that are in it now, in order, mean ± sample deviation with n and the
    best of each metric, counts.

    `stand_ins` says of a dataset's name what it stands in for, or None. `spec_sha` is that of the text which the
    caller has of the study's file. So many `digits` are printed, by default as many as show the runs apart. If the
    study names a baseline, a small table per metric has the differences to it. Raises HarnessError if the study is
    not stored, or not with that text.
    """
    snapshot = snapshot.of_study(study)
    planned = planned_trials(snapshot, study, spec_sha)
    entries = _stored(snapshot, planned)
    metrics = _metrics(snapshot, entries)
    counts = [name for name in _COUNTS if any(name in entry.trial.costs for entry in entries)]
    means = [[_mean(entry.known(metric)) for entry in entries] for metric in metrics]
    best = [_best(metric, of_trials) for metric, of_trials in zip(metrics, means, strict=True)]
    forms = [_form(metric, entries, digits) for metric in metrics]
    marks = Marks()
    rows = []
    behind = [(entry.trial, attempt) for entry in entries for attempt in entry.behind]
    for index, entry in enumerate(entries):
        words, overrides = accepted_remarks(entry.runs.values()), entry.place.overrides
        changed = [] if overrides is None else [with_set(overrides)]
        count = f"{len(entry.runs)} of {len(entry.place.seeds)}"
        line = [
            Cell(study, entry.name, "runs", ours=len(entry.runs), text=count, marks=marks((*changed, *words))),
        ]
        for metric, top, form, of_trials in zip(metrics, best, forms, means, strict=True):
            line.append(_result(entry, metric, form, marks, bold=metric.bold and of_trials[index] == top))
        line += [_count(entry, name) for name in counts]
        rows.append(DocRow(entry.name, tuple(line), entry.recipe.words, tuple(words), overrides or ""))
    labels = [*(metric.label for metric in metrics), *(_COUNTS[name] for name in counts)]
    code = (Footnote("code", text) for text in code_remarks(behind))
    baseline = _baseline(planned)
    return Document(
        title=f"Study {study}",
        caption="mean ± standard deviation over n seeds, and the best seed",
        columns=(DocColumn("Runs", is_value=False), *map(DocColumn, labels)),
        rows=tuple(rows),
        footnotes=(*marks.footnotes(), *code),
        notes=tuple(_notes(snapshot, entries, metrics, [run for _, run in behind], stand_ins or {})),
        compares=False,
        statistics=()
        if baseline is None
        else study_tables(snapshot, planned, _columns(entries, metrics, forms), baseline),
        behind=tuple(behind),
    )


def study_statistics(snapshot: Snapshot, study: str, spec_sha: str | None = None) -> list[RowStatistics]:
    """Return the statistics of each trial and metric of a study, against its baseline, else its first trial.

    Raises HarnessError if the study is not stored.
    """
    snapshot = snapshot.of_study(study)
    planned = planned_trials(snapshot, study, spec_sha)
    columns = study_columns(snapshot, planned)
    return study_rows(snapshot, planned, columns, _baseline(planned) or planned[0].name)


def _baseline(planned: Sequence[StudyTrialRecord]) -> str | None:
    """Return the name of the trial that the others are held against, if the study says so and it is there."""
    named = baseline_of(planned[0].spec_yaml)
    return named if named in {entry.name for entry in planned} else None


def study_columns(
    snapshot: Snapshot, planned: Sequence[StudyTrialRecord], digits: int | None = None
) -> list[StudyColumn]:
    """Return what is stored of each trial, at the seeds of the study, metric by metric."""
    entries = _stored(snapshot, planned)
    metrics = _metrics(snapshot, entries)
    return _columns(entries, metrics, [_form(metric, entries, digits) for metric in metrics])


def _columns(
    entries: Sequence[_Stored], metrics: Sequence[_Metric], forms: Sequence[NumberFormat]
) -> list[StudyColumn]:
    columns = []
    for metric, form in zip(metrics, forms, strict=True):
        values = {}
        for entry in entries:
            known = entry.known(metric)
            values[entry.name] = {seed: value for seed, value in known.items() if value is not None}
        columns.append(StudyColumn(metric.label, metric.what, metric.evaluation, form, values))
    return columns


def planned_trials(snapshot: Snapshot, study: str, spec_sha: str | None) -> list[StudyTrialRecord]:
    """Return the trials that are in the study now, in its order."""
    chosen = snapshot.standing(study)
    if not chosen:
        raise HarnessError(f"no trial that is in study '{study}' now is stored, only earlier ones")
    if spec_sha is not None and spec_sha not in {record.spec_sha for record in chosen}:
        raise HarnessError(f"study '{study}' is not stored as this file says (its text has changed)")
    return chosen


def _stored(snapshot: Snapshot, planned: Sequence[StudyTrialRecord]) -> list[_Stored]:
    entries = []
    for place in planned:
        accepted = snapshot.runs(place.trial_key)
        runs = {seed: accepted[seed] for seed in place.seeds if seed in accepted}
        found = {seed: found_values(snapshot, run) for seed, run in runs.items()}
        behind = [a for seed, run in runs.items() for a in gave(snapshot, run, found[seed]) or (run,)]
        entries.append(_Stored(place, snapshot.trials[place.trial_key], runs, found, behind))
    return entries


def _metrics(snapshot: Snapshot, entries: Sequence[_Stored]) -> list[_Metric]:
    """Return the metrics that any of the study's runs has, in order of the evaluations, the primary of each first; of
    functions those that are declared, or all if none is.

    The best is set in bold if the trials or their study say which way is better: those of earlier versions do not, and
    their tables stay as they are.
    """
    pairs = {pair for entry in entries for found in entry.found.values() for pair in found}
    declared = metrics_of_all(snapshot, [entry.trial.key for entry in entries], entries[0].place.study)
    stored = {metric.name for entry in entries for metric in entry.trial.metrics}
    names = {metric.name for metric in declared}
    return [
        _Metric(metric_named(declared, name), record, bold=name in names and (name in stored or key == RETURNED.key))
        for record in sorted(snapshot.evaluations.values(), key=lambda record: record.reading_order)
        for key, name in sorted(pairs, key=lambda pair: position(declared, pair[1]))
        if key == record.key and (key != RETURNED.key or not declared or name in names)
    ]


def _mean(known: Mapping[int, float | None]) -> float:
    """Return the mean of what is stored, nan if there is nothing."""
    stored = [value for value in known.values() if value is not None]
    return mean(stored) if stored else math.nan


def _best(metric: _Metric, means: Sequence[float]) -> float | None:
    """Return the best mean of a column; None if there are not two to choose from."""
    numbers = [value for value in means if math.isfinite(value)]
    choose = max if metric.what.better == "higher" else min
    return choose(numbers) if len(numbers) > 1 else None


def _form(metric: _Metric, entries: Sequence[_Stored], digits: int | None = None) -> NumberFormat:
    """Return how a column is printed: with so many digits, or as many as show its runs apart."""
    if digits is not None:
        return NumberFormat(digits=digits)
    known = (value for entry in entries for value in entry.known(metric).values())
    return fitted(NumberFormat(digits=metric.what.digits), [value for value in known if value is not None])


def _result(entry: _Stored, metric: _Metric, form: NumberFormat, marks: Marks, *, bold: bool) -> Cell:
    """Return "0.9787 ± 0.0006 (n = 2, best 0.9791)"; a dash if nothing is stored."""
    known = entry.known(metric)
    stored = [value for value in known.values() if value is not None]
    broken = Counter(str(value) for value in stored if not math.isfinite(value))
    missing = [] if len(stored) == len(known) else [f"{len(stored)} of {len(known)} runs"]
    notes = [*missing, *([] if entry.place.overrides is None else [with_set(entry.place.overrides)])]
    notes += [*accepted_remarks(entry.runs.values()), *(f"{word} among the values" for word in sorted(broken))]
    gave = (f"{count} of {len(stored)} runs gave {word}" for word, count in sorted(broken.items()))
    return Cell(
        table=entry.place.study,
        row=entry.name,
        column=metric.label,
        ours=mean(stored) if stored else None,
        unit=metric.what.unit,
        runs=len(stored),
        select="mean",
        values=tuple(known.values()),
        protocol=entry.recipe.words,
        dataset=None if metric.evaluation.key == RETURNED.key else metric.evaluation.dataset,
        device=", ".join(sorted({device_of(attempt) for attempt in entry.behind})) or None,
        note="; ".join(notes) or None,
        text=_spread_text(known, metric, form) if stored else NOTHING,
        overrides=entry.recipe.overrides,
        assumed=entry.recipe.unstated,
        marks=marks((*missing, *gave)),
        bold=bold,
    )


def _spread_text(known: Mapping[int, float | None], metric: _Metric, form: NumberFormat) -> str:
    stored = [value for value in known.values() if value is not None]
    seed = pick(known, metric.what.better)
    best = None if seed is None else known[seed]
    sd = deviation(stored) if all(map(math.isfinite, stored)) else None
    spread = "" if sd is None else f" ± {number(sd, form)}"
    top = "" if best is None or len(stored) == 1 else f", best {number(best, form)}"
    return f"{number(mean(stored), form)}{spread} (n = {len(stored)}{top})"


def _count(entry: _Stored, name: str) -> Cell:
    value = entry.trial.costs.get(name)
    return Cell(
        table=entry.place.study,
        row=entry.name,
        column=name,
        ours=value,
        unit="count",
        values=() if value is None else (value,),
        protocol=entry.recipe.words,
        text=NOTHING if value is None else f"{round(value):,}",
        overrides=entry.recipe.overrides,
        count=None if value is None else round(value),
    )


def _notes(
    snapshot: Snapshot,
    entries: Sequence[_Stored],
    metrics: Sequence[_Metric],
    runs: Sequence[AttemptRecord],
    stand_ins: Mapping[str, str | None],
) -> list[Note]:
    """What came of the study's claims, data (and what they stand in for), protocol, seeds, devices."""
    configs, study = [entry.trial.config for entry in entries], entries[0].place.study
    trained = [str(train) for config in configs if (train := config.get("data", {}).get("train"))]
    data = {f: snapshot.datasets[f].name if f in snapshot.datasets else short(f) for f in trained}
    evaluated = [metric.evaluation.dataset for metric in metrics if metric.evaluation.key != RETURNED.key]
    names = list(dict.fromkeys([*data.values(), *evaluated]))
    described = [f"{name} (a stand-in for {stand_ins[name]})" if stand_ins.get(name) else name for name in names]
    seeds = list(dict.fromkeys(seed for entry in entries for seed in entry.place.seeds))
    protocol, lines = _protocols(entries)
    what = f"Data: {', '.join(described)}. Protocol: {protocol}" if described else f"Function: {protocol}"
    claims = study_findings(snapshot, study)
    notes = [Note(f"Claims. {summary(claims)}", tuple(map(line_of, claims)))] if claims else []
    notes += [Note(f"{what}. Seeds: {', '.join(map(str, seeds))}.", lines)]
    if runs:
        devices = ", ".join(sorted({device_of(run) for run in runs}))
        ran = ran_on(entry.trial.config for entry in entries if entry.runs)
        notes.append(Note(f"{ran} {devices}, {threads_of(runs)}."))
    tested = [metric.evaluation for metric in metrics if metric.evaluation.key != RETURNED.key]
    notes += map(Note, measured_notes(snapshot, [entry.trial.key for entry in entries], tested))
    return [*notes, *map(Note, _accuracy_notes(snapshot, metrics, entries)), *_left_out(snapshot, study)]


def _protocols(entries: Sequence[_Stored]) -> tuple[str, tuple[str, ...]]:
    """Return the protocols of a study's trials, and if some are overridden in part of them, a line with the trials of
    each.
    """
    by: dict[str, list[str]] = {}
    for entry in entries:
        by.setdefault(entry.recipe.words, []).append(entry.name)
    names = dict.fromkeys(entry.place.protocol_name for entry in entries)
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


def _accuracy_notes(snapshot: Snapshot, metrics: Sequence[_Metric], entries: Sequence[_Stored]) -> Iterable[str]:
    """Yield what the standard error of one fraction of the images is on each test set."""
    by: dict[tuple[str, str, str, int], list[float]] = {}
    for metric in metrics:
        on = metric.evaluation
        images = images_of(snapshot, on.key)
        known = [found.get((on.key, metric.name)) for entry in entries for found in entry.found.values()]
        numbers = [value for value in known if value is not None and 0 <= value <= 1]
        if metric.what.counts_items and images and numbers:
            by.setdefault((metric.name, on.dataset, on.split, images), []).extend(numbers)
    for (name, _, _, images), numbers in by.items():
        yield accuracy_note(numbers, images, name)
