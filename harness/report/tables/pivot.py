"""One metric of a study as rows × columns: a cell for each pair of values of two settings."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean
from harness.report.document import Cell, DocColumn, DocRow, Document
from harness.report.printing import number
from harness.report.tables.study_document import planned_trials, study_columns
from harness.report.tables.study_statistics import StudyColumn
from harness.stats.tests import deviation, mean
from harness.store.records import Snapshot, StudyTrialRecord
from harness.study.names import render_name
from harness.trial.models import MODELS

_DEFAULT, _NONE = "default", "none"
_CROSS = re.compile(r"\s*×\s*|\s+x\s+|\s*,\s*")


def pivot_document(
    snapshot: Snapshot,
    study: str,
    pivot: str,
    metric: str | None = None,
    *,
    spec_sha: str | None = None,
    digits: int | None = None,
) -> Document:
    """Return mean ± sample deviation of a metric, by default the primary one, by two settings of a study's trials.

    `pivot` is "ROWS × COLUMNS": dotted paths as in names of trials, or `at` and `reduction`. Raises HarnessError for a
    setting that no trial has, and for two trials in one cell.
    """
    paths = _CROSS.split(pivot.strip())
    if len(paths) != 2 or not all(paths):
        raise HarnessError(f"--pivot takes 'ROWS × COLUMNS', two settings, not '{pivot}'")
    planned = planned_trials(snapshot, study, spec_sha)
    column = _column(study_columns(snapshot, planned, digits), metric, study)
    places = {entry.name: _place(snapshot, entry, paths) for entry in planned}
    for path, values in zip(paths, zip(*places.values(), strict=True), strict=True):
        if all(value in {_DEFAULT, _NONE} for value in values):
            raise HarnessError(f"no trial of study '{study}' sets '{path}', e.g. compressor.kind, protocol.epochs")
    cells: dict[tuple[str, str], StudyTrialRecord] = {}
    for entry in planned:
        place = places[entry.name]
        if place in cells:
            where = f"{paths[0]} {place[0]}, {paths[1]} {place[1]}"
            raise HarnessError(f"'{cells[place].name}' and '{entry.name}' both have {where}: choose other settings")
        cells[place] = entry
    heads = list(dict.fromkeys(place[1] for place in places.values()))
    rows = [
        DocRow(label, tuple(_cell(study, label, head, cells.get((label, head)), column) for head in heads))
        for label in dict.fromkeys(place[0] for place in places.values())
    ]
    counts = sorted({len(values) for values in column.values.values() if values})
    n = (
        "nothing is stored"
        if not counts
        else f"n = {counts[0] if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'}"
    )
    return Document(
        title=f"Study {study}",
        caption=f"{column.label} by {paths[0]} (rows) and {paths[1]} (columns): mean ± standard deviation, {n}",
        columns=tuple(map(DocColumn, heads)),
        rows=tuple(rows),
        compares=False,
    )


def _column(columns: Sequence[StudyColumn], metric: str | None, study: str) -> StudyColumn:
    """Return the column of a metric by its name or its whole label, the first if none is named."""
    if not columns:
        raise HarnessError(f"no run of study '{study}' is stored; --from names other results")
    found = [column for column in columns if metric in {None, column.metric.name, column.label}]
    if not found:
        known = [column.metric.name for column in columns]
        raise HarnessError(f"study '{study}' has no metric '{metric}'{did_you_mean(str(metric), known)}")
    if metric is not None and len(found) > 1:
        labels = "; ".join(f"'{column.label}'" for column in found)
        raise HarnessError(f"study '{study}' has '{metric}' on several evaluations: name one of {labels}")
    return found[0]


def _place(snapshot: Snapshot, entry: StudyTrialRecord, paths: Sequence[str]) -> tuple[str, str]:
    config = snapshot.trials[entry.trial_key].config
    row, column = (setting(config, path) for path in paths)
    return row, column


def setting(config: Mapping[str, Any], path: str) -> str:
    """Return a setting of a trial as names write it: of a model of ours its default if the trial does not set it, of
    others "default", of compressors "none".
    """
    try:
        return render_name(f"{{{path}}}", config)
    except FieldError:
        root, _, option = path.partition(".")
        if root in {"compressor", "compressors", "at", "reduction"}:
            return _NONE
        model = MODELS.get(str(config["model"]["kind"])) if root == "model" and "model" in config else None
        usual = None if model is None else model.options.model_fields.get(option)
        return _DEFAULT if usual is None or usual.default is None else str(usual.default)


def _cell(study: str, row: str, head: str, entry: StudyTrialRecord | None, column: StudyColumn) -> Cell:
    values = {} if entry is None else column.values[entry.name]
    if entry is None or not values:
        return Cell(study, row, head)
    numbers = list(values.values())
    sd = deviation(numbers)
    text = number(mean(numbers), column.form) + ("" if sd is None else f" ± {number(sd, column.form)}")
    return Cell(
        study, row, head, ours=mean(numbers), unit=column.metric.unit, runs=len(numbers), select="mean",
        values=tuple(numbers), text=text,
    )  # fmt: skip
