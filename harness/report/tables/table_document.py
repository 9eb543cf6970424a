"""A table of the paper (or of a user, in the same form) beside what is stored, with all that a reader must
know below it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from harness.report.document import (
    Cell,
    DocColumn,
    DocRow,
    Document,
    Footnote,
    Marks,
    Note,
    StatisticsTable,
)
from harness.report.printing import NOTHING, difference, fitted, printed
from harness.report.tables.cells import Expected, TracedCell, find
from harness.report.tables.compare import Samples, with_statistics
from harness.report.tables.declared import measured_notes
from harness.report.tables.expected import Setting, filled
from harness.report.tables.family import family_note
from harness.report.tables.match import device_of
from harness.report.tables.printed_gains import PrintedGain, gain_lines, printed_gains
from harness.report.tables.provenance import accepted_remarks, code_remarks, ran_on, short, threads_of
from harness.report.tables.selection import evaluation_keys
from harness.report.tables.statistics_table import statistics_tables
from harness.report.tables.table import Select, Table
from harness.report.tables.uncertainty import accuracy_notes, choosing_notes
from harness.stats.tests import gap, mean
from harness.store.connection import Store
from harness.store.queries import samples as samples_of
from harness.store.records import AttemptRecord, Snapshot, TrialRecord
from harness.trial.function import RETURNED
from harness.trial.overrides import in_words

_SHOWN = {
    "best": "the best of the stated seeds",
    "mean": "the mean over the seeds",
    "median": "the median over the seeds",
}


def table_document(
    snapshot: Snapshot,
    table: Table,
    expected: Expected,
    settings: Sequence[Setting] = (),
    *,
    select: Select | None = None,
    device: str | None = None,
    samples: Samples | None = None,
) -> Document:
    """Return a table ready to be rendered.

    `expected` has each row's resolved configuration, `settings` the fields of the protocol (those with
    source "stated" are left out); `select` and `device` as of `table_cells`; `samples` gives an attempt's values
    by image, from its uid, which networks are compared by. Raises HarnessError for a row without a configuration.
    """
    how = select or table.select
    table, cells = _fitted(table, find(snapshot, table, expected, select=how, device=device))
    found = with_statistics(snapshot, table, cells, samples)
    by_place = {(f.row.label, f.column.key): f for f in found}
    bold = _best(table, found)
    marks = Marks()
    rows = tuple(
        DocRow(
            row.label,
            tuple(_cell(by_place[row.label, column.key], bold, marks) for column in table.columns),
            "; ".join(_recipes(by_place[row.label, column.key] for column in table.columns)),
            tuple(accepted_remarks(a for column in table.columns for a in by_place[row.label, column.key].attempts)),
            _made_by(by_place[row.label, column.key] for column in table.columns),
        )
        for row in table.rows
    )
    name = f"Table {table.table}" if isinstance(table.table, int) else table.table
    behind = _behind(found)
    return Document(
        title=name,
        caption=table.caption,
        columns=tuple(DocColumn(column.label, column.unit) for column in table.columns),
        rows=rows,
        footnotes=(*marks.footnotes(), *(Footnote("code", text) for text in code_remarks(behind))),
        notes=tuple(_notes(snapshot, table, found, expected, settings, how)),
        compares=any(row.paper for row in table.rows),
        statistics=_with_gains(statistics_tables(table, found, how), printed_gains(snapshot, table, found)),
        behind=behind,
    )


def stored_document(store: Store, snapshot: Snapshot, table: Table, select: Select | None = None) -> Document:
    """Return a table as a store fills it, with McNemar tests; `snapshot` is of that store."""
    whole, expected, settings = filled(table, snapshot)
    return table_document(snapshot, whole, expected, settings, select=select, samples=partial(samples_of, store))


def _fitted(table: Table, found: Sequence[TracedCell]) -> tuple[Table, list[TracedCell]]:
    """Give columns without a value of the paper as many digits as show their runs apart; the paper's are as it prints.

    Counts are whole, and printed as the table's file says.
    """
    fitting = {}
    for column in table.columns:
        mine = [f.cell for f in found if f.column.key == column.key]
        if column.source != "cost" and not any(column.key in row.paper for row in table.rows):
            shown = [value for cell in mine for value in (cell.ours, *cell.values) if value is not None]
            fitting[column.key] = column.model_copy(update={"format": fitted(column.format, shown)})
    columns = tuple(fitting.get(column.key, column) for column in table.columns)
    return (
        table.model_copy(update={"columns": columns}),
        [replace(f, column=fitting.get(f.column.key, f.column)) for f in found],
    )


def _cell(found: TracedCell, bold: frozenset[tuple[str, str]], marks: Marks) -> Cell:
    """Return a cell as it is printed."""
    cell, column = found.cell, found.column
    paper = None if cell.paper is None else found.row.paper[column.key]
    notes = () if paper is None or paper.note is None else (f"paper: {paper.note}",)
    between = None
    if paper is not None and cell.ours is not None:
        between = difference(cell.ours, paper.text, column)
    return replace(
        cell,
        text=NOTHING if cell.ours is None else printed(cell.ours, column),
        bold=(cell.row, cell.column) in bold,
        paper_text=None if paper is None else paper.text,
        paper_bold=paper is not None and paper.bold,
        difference=between,
        marks=marks((*found.remarks, *notes)),
    )


def _best(table: Table, found: Sequence[TracedCell]) -> frozenset[tuple[str, str]]:
    """Return the places of our best values, of the columns where the paper sets its best in bold.

    What prints the same as the best is as bold as that in a column of the paper's, which has its digits; in another
    one only what is the same. A stand-in does not compete, and rows on other data compete among themselves.
    """
    best: set[tuple[str, str]] = set()
    places = [(column, dataset) for column in table.columns if column.bold for dataset in {f.dataset for f in found}]
    for column, dataset in places:
        shown = {
            (f.cell.row, f.cell.column): f.cell.ours
            for f in found
            if (f.column.key, f.dataset) == (column.key, dataset)
            and f.cell.ours is not None
            and f.cell.match != "stand-in"
        }
        numbers = [value for value in shown.values() if math.isfinite(value)]
        if numbers:
            top = max(numbers) if column.better == "higher" else min(numbers)
            of_paper = any(column.key in row.paper for row in table.rows)
            best |= {
                place
                for place, value in shown.items()
                if (printed(value, column) == printed(top, column) if of_paper else gap(value, top) == 0)
            }
    return frozenset(best)


def _made_by(found: Iterable[TracedCell]) -> str:
    """Return by which `--set` the trials of a row were made; "" of a study's own."""
    return "; ".join(dict.fromkeys(f.candidate.overrides for f in found if f.candidate and f.candidate.overrides))


def _behind(found: Sequence[TracedCell]) -> tuple[tuple[TrialRecord, AttemptRecord], ...]:
    """Return all attempts behind the cells, each once."""
    pairs = {(f.candidate.trial.key, a.uid): (f.candidate.trial, a) for f in found if f.candidate for a in f.attempts}
    return tuple(pairs.values())


def _notes(
    snapshot: Snapshot,
    table: Table,
    found: Sequence[TracedCell],
    expected: Expected,
    settings: Sequence[Setting],
    how: Select,
) -> Iterable[Note]:
    """All that is below the table but the footnotes, in reading order."""
    data = [config["data"] for config in expected.values() if "data" in config]
    trained = sorted({str(splits["train"]) for splits in data if "train" in splits})
    sizes = [f"{snapshot.datasets[f].images:,} images" for f in trained if f in snapshot.datasets]
    about = f" ({', '.join([*sizes, *(f'fingerprint {short(f)}' for f in trained)])})" if trained else ""
    stated = table.expect.protocol
    used = sorted(_recipes(found))
    protocol = in_words(stated) if stated else "; ".join(used) or NOTHING
    of_functions = table.expect.dataset == RETURNED.dataset
    if of_functions:
        yield Note(f"Function: {protocol}.")
    elif stated or used:
        own = [snapshot.datasets[f].name for f in trained if f in snapshot.datasets] if table.match == "by name" else []
        own = own if trained else [f.dataset for f in found if f.attempts and f.dataset is not None]
        yield Note(f"Data: {', '.join(dict.fromkeys(own)) or table.expect.dataset}{about}. Protocol: {protocol}.")
    if any(f.attempts for f in found):
        yield from map(Note, _measured(snapshot, found))
        yield from _machines(table, found)
        yield from _selection(snapshot, table, found, how)
    else:
        yield Note("No run of this table is stored.")
    unstated = [s for s in settings if s.source != "stated"]
    if unstated:
        yield Note(
            f"Settings of {table.expect.protocol_name} that the paper does not state:",
            tuple(f"{s.field}: {in_words(s.value)} ({s.source}; {s.where})" for s in unstated),
        )
    columns = tuple(f"{column.label}: {column.note}" for column in table.columns if column.note)
    if columns:
        yield Note("Columns:", columns)
    uncounted = _uncounted(table, found)
    if uncounted:
        yield Note(
            f"Not counted, as no trial of such a network is stored and only torch can count it: {uncounted}."
            " `harness cost FILE` counts the networks of a study."
        )
    family = family_note(table, found)
    if family is not None:
        yield family
    if table.notes:
        beside = any(row.paper for row in table.rows)
        head = "On the paper's values, which are kept as printed:" if beside else "Notes:"
        yield Note(head, tuple(note.text for note in table.notes))


def _measured(snapshot: Snapshot, found: Sequence[TracedCell]) -> tuple[str, ...]:
    """Return how the results of a table were measured, if their task says it."""
    shown = [f for f in found if f.attempts and f.column.source == "result" and f.candidate and f.dataset]
    keys = {
        key for f in shown for key in evaluation_keys(snapshot, f.evaluation, str(f.dataset))
    } & snapshot.evaluations.keys()
    trials = [f.candidate.trial.key for f in shown if f.candidate is not None]
    return measured_notes(snapshot, trials, [snapshot.evaluations[key] for key in keys])


def _with_gains(tables: Sequence[StatisticsTable], gains: Sequence[PrintedGain]) -> tuple[StatisticsTable, ...]:
    """Return the small tables, each with the printed gains of its column beside ours."""
    by = {table.name: [g for g in gains if table.name.startswith(f"{g.column} [")] for table in tables}
    return tuple(replace(table, notes=(*table.notes, *gain_lines(by[table.name]))) for table in tables)


def _uncounted(table: Table, found: Sequence[TracedCell]) -> str:
    """Return the rows of a table by configuration whose counts are missing."""
    if table.match != "by configuration":
        return ""
    return "; ".join(dict.fromkeys(f.row.label for f in found if f.column.source == "cost" and f.cell.ours is None))


def _recipes(found: Iterable[TracedCell]) -> list[str]:
    """Return the protocols of the runs behind some cells, each once, with what was overridden."""
    return list(dict.fromkeys(f.candidate.recipe for f in found if f.candidate is not None and f.attempts))


def _machines(table: Table, found: Sequence[TracedCell]) -> Iterable[Note]:
    """Yield on which devices trials ran and which one was timed, with how many threads."""
    ran = ran_on(f.candidate.trial.config for f in found if f.candidate and f.attempts)
    for source, verb in (("result", ran), ("timing", "Times measured on")):
        attempts = [a for f in found if f.column.source == source for a in f.attempts]
        if not attempts:
            continue
        devices = ", ".join(sorted({device_of(a) for a in attempts}))
        alone = "; alone on the device, median" if source == "timing" else ""
        beside = f"; the paper's on {table.device}" if source == "timing" and table.device else ""
        yield Note(f"{verb} {devices}, {threads_of(attempts)}{alone}{beside}.")
        spread = [line for f in found if f.column.source == source for line in _spread(f)]
        if spread:
            yield Note("Spread of the times (least to most):", tuple(spread))
    plain = [f"{f.row.label}, {f.column.label}: {printed(f.plain, f.column)}" for f in found if f.plain is not None]
    if plain:
        yield Note("The same times by plain torch's operators in the paper's order, on the same device:", tuple(plain))


def _spread(found: TracedCell) -> Iterable[str]:
    """Say the least and the most of a time, if the timing kept them."""
    ends = [f"{found.column.metric}_min", f"{found.column.metric}_max"]
    for attempt in found.attempts if found.column.source == "timing" else ():
        if all(end in attempt.measures for end in ends):
            least, most = (printed(attempt.measures[end], found.column) for end in ends)
            if least != most:  # one epoch has no spread
                yield f"{found.row.label}, {found.column.label}: {least} to {most}"


def _selection(snapshot: Snapshot, table: Table, found: Sequence[TracedCell], how: Select) -> Iterable[Note]:
    """Which runs are shown, what that does to the numbers, and every run's value."""
    results = [f for f in found if f.column.source == "result"]
    if not results:
        return
    stated = sorted({seed for row in table.rows for seed in table.seeds(row)})
    by = sorted({row.select_by for row in table.rows if row.select_by})
    picked = f", picked by {' and '.join(by)} at the last epoch" if how == "best" and by else ""
    several = any(sum(value is not None for value in f.cell.values) > 1 for f in results)
    text = f"Seeds: {', '.join(map(str, stated))}. Shown: {_SHOWN[how]}{picked}."
    if how == "best" and not several:
        text = f"{text} No row has more than one."
    elif how == "best":
        size = "two" if len(stated) == 2 else "several"
        text += (
            f" The best of {size} is a biased estimate: chosen on the data that it reports, it lies above"
            " what a run is expected to reach."
        )
        text = " ".join([text, *choosing_notes(snapshot, found, len(stated))])
    text = " ".join([text, *accuracy_notes(snapshot, found)])
    lines = tuple(_all_seeds(f, table) for f in results if f.cell.ours is not None)
    yield Note(text)
    if lines:
        yield Note("Mean and every seed's value:", lines)


def _all_seeds(found: TracedCell, table: Table) -> str:
    """Return "Baseline, Accuracy: mean 0.9787; seed 0: 0.9791, seed 1: 0.9783"."""
    column, cell = found.column, found.cell
    stored = [value for value in cell.values if value is not None]
    each = ", ".join(
        f"seed {seed}: {NOTHING if value is None else printed(value, column)}"
        for seed, value in zip(table.seeds(found.row), cell.values, strict=True)
    )
    return f"{found.row.label}, {column.label}: mean {printed(mean(stored), column)}; {each}"
