"""Any study's own table: a row per trial; its metrics over the seeds, the number of parameters and of
multiply-accumulates.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError
from harness.report.document import DocCell, DocColumn, DocRow, Document, Footnote, Marks, Note
from harness.report.printing import NOTHING, fitted, number
from harness.report.tables.cells import Cell
from harness.report.tables.declared import metric_named, metrics_of_all, position
from harness.report.tables.match import device_of
from harness.report.tables.provenance import accepted_remarks, code_remarks, short, threads_of, with_set
from harness.report.tables.selection import pick
from harness.report.tables.table import NumberFormat
from harness.report.tables.uncertainty import accuracy_note, images_of
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
) -> Document:
    """Return a study's table: the trials that stand in it now, in order, mean ± sample deviation with n and the
    best of each metric, counts.

    `stand_ins` says of a dataset's name what it stands in for, or None. `spec_sha` is that of the text which the
    caller has of the study's file. Raises HarnessError where the study is not stored, or not with that text.
    """
    planned = _planned(snapshot, study, spec_sha)
    metrics = _metrics(snapshot, planned)
    counts = [name for name in _COUNTS if any(name in snapshot.trials[p.trial_key].costs for p in planned)]
    best = [_best(snapshot, metric, planned) for metric in metrics]
    forms = [_form(snapshot, metric, planned) for metric in metrics]
    marks = Marks()
    rows, cells, behind = [], [], []
    for entry in planned:
        trial = snapshot.trials[entry.trial_key]
        runs = _runs(snapshot, entry)
        behind += [(trial, run) for run in runs.values()]
        words = accepted_remarks(runs.values())
        changed = [] if entry.overrides is None else [with_set(entry.overrides)]
        line = [DocCell(f"{len(runs)} of {len(entry.seeds)}", marks=marks((*changed, *words)))]
        for metric, top, form in zip(metrics, best, forms, strict=True):
            known = _known(snapshot, metric, runs, entry.seeds)
            shown = _doc_cell(known, metric, form, marks)
            line.append(replace(shown, bold=metric.bold and _mean(known) == top))
            cells.append(_cell(entry, trial, metric, known, runs, line[-1]))
        line += [_count(trial, name) for name in counts]
        cells += [_count_cell(entry, trial, name) for name in counts]
        rows.append(DocRow(entry.name, tuple(line), _recipe(snapshot, entry), tuple(words), entry.overrides or ""))
    labels = ["Runs", *(metric.label for metric in metrics), *(_COUNTS[name] for name in counts)]
    code = (Footnote("code", text) for text in code_remarks(behind))
    return Document(
        title=f"Study {study}",
        caption="mean ± standard deviation over n seeds, and the best seed",
        columns=tuple(DocColumn(label) for label in labels),
        rows=tuple(rows),
        footnotes=(*marks.footnotes(), *code),
        notes=tuple(_notes(snapshot, planned, metrics, [run for _, run in behind], stand_ins or {})),
        cells=tuple(cells),
        compares=False,
        behind=tuple(behind),
    )


def _planned(snapshot: Snapshot, study: str, spec_sha: str | None) -> list[StudyTrialRecord]:
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


def _form(snapshot: Snapshot, metric: _Metric, planned: Sequence[StudyTrialRecord]) -> NumberFormat:
    """Return how a column is printed: with as many digits as show its runs apart."""
    known = (_known(snapshot, metric, _runs(snapshot, entry), entry.seeds) for entry in planned)
    return fitted(
        NumberFormat(digits=metric.what.digits), [value for row in known for value in row.values() if value is not None]
    )


def _doc_cell(known: Mapping[int, float | None], metric: _Metric, form: NumberFormat, marks: Marks) -> DocCell:
    """Return "0.9787 ± 0.0006 (n = 2, best 0.9791)"; a dash where nothing is stored."""
    stored = [value for value in known.values() if value is not None]
    remarks = [] if len(stored) == len(known) else [f"{len(stored)} of {len(known)} runs"]
    broken = Counter(str(value) for value in stored if not math.isfinite(value))
    remarks += [f"{count} of {len(stored)} runs gave {word}" for word, count in sorted(broken.items())]
    noted = marks(tuple(remarks))
    if not stored:
        return DocCell(NOTHING, marks=noted)
    seed = pick(known, metric.what.better)
    best = None if seed is None else known[seed]
    sd = None if broken else deviation(stored)
    spread = "" if sd is None else f" ± {number(sd, form)}"
    top = "" if best is None or len(stored) == 1 else f", best {number(best, form)}"
    return DocCell(f"{number(mean(stored), form)}{spread} (n = {len(stored)}{top})", marks=noted)


def _recipe(snapshot: Snapshot, entry: StudyTrialRecord) -> str:
    """Return a trial's protocol with all that the study, or `--set`, overrides."""
    return protocol_in_words(entry.protocol_name, snapshot.trials[entry.trial_key].config)


def _cell(
    entry: StudyTrialRecord,
    trial: TrialRecord,
    metric: _Metric,
    known: Mapping[int, float | None],
    runs: Mapping[int, AttemptRecord],
    shown: DocCell,
) -> Cell:
    stored = [value for value in known.values() if value is not None]
    missing = len(known) - len(stored)
    notes = [f"{len(stored)} of {len(known)} runs"] if missing else []
    notes += [] if entry.overrides is None else [with_set(entry.overrides)]
    notes += accepted_remarks(runs.values())
    notes += [f"{word} among the values" for word in sorted({str(v) for v in stored if not math.isfinite(v)})]
    return Cell(
        table=entry.study,
        row=entry.name,
        column=metric.label,
        paper=None,
        ours=mean(stored) if stored else None,
        unit=metric.what.unit,
        match=None,
        runs=len(stored),
        select="mean",
        values=tuple(known.values()),
        protocol=protocol_in_words(entry.protocol_name, trial.config),
        dataset=None if metric.evaluation.key == RETURNED.key else metric.evaluation.dataset,
        device=", ".join(sorted({device_of(run) for run in runs.values()})) or None,
        note="; ".join(notes) or None,
        text=shown.ours,
        bold=shown.bold,
        overrides=overrides(entry.protocol_name, trial.config),
        assumed=unstated(entry.protocol_name, trial.config),
    )


def _count(trial: TrialRecord, name: str) -> DocCell:
    return DocCell(f"{round(trial.costs[name]):,}" if name in trial.costs else NOTHING)


def _count_cell(entry: StudyTrialRecord, trial: TrialRecord, name: str) -> Cell:
    value = trial.costs.get(name)
    return Cell(
        table=entry.study,
        row=entry.name,
        column=name,
        paper=None,
        ours=value,
        unit="count",
        match=None,
        runs=0,
        select=None,
        values=() if value is None else (value,),
        protocol=protocol_in_words(entry.protocol_name, trial.config),
        dataset=None,
        device=None,
        note=None,
        text=_count(trial, name).ours,
        overrides=overrides(entry.protocol_name, trial.config),
    )


def _notes(
    snapshot: Snapshot,
    planned: Sequence[StudyTrialRecord],
    metrics: Sequence[_Metric],
    runs: Sequence[AttemptRecord],
    stand_ins: Mapping[str, str | None],
) -> list[Note]:
    """Data (and what they stand in for), protocol, seeds, devices."""
    configs = [snapshot.trials[p.trial_key].config for p in planned]
    trained = [str(config["data"].get("train")) for config in configs if "data" in config]
    data = {f: snapshot.datasets[f].name if f in snapshot.datasets else short(f) for f in trained}
    evaluated = [metric.evaluation.dataset for metric in metrics if metric.evaluation.key != RETURNED.key]
    names = list(dict.fromkeys([*data.values(), *evaluated]))
    described = [f"{name} (a stand-in for {stand_ins[name]})" if stand_ins.get(name) else name for name in names]
    seeds = list(dict.fromkeys(seed for p in planned for seed in p.seeds))
    protocol, lines = _protocols(snapshot, planned)
    what = f"Data: {', '.join(described)}. Protocol: {protocol}" if described else f"Function: {protocol}"
    notes = [Note(f"{what}. Seeds: {', '.join(map(str, seeds))}.", lines)]
    if runs:
        devices = ", ".join(sorted({device_of(run) for run in runs}))
        notes.append(Note(f"{'Trained' if described else 'Run'} on {devices}, {threads_of(runs)}."))
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
