"""From what is stored to the cells of a table: each beside the paper's value, with how near it is and where
it is from.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.base.errors import HarnessError
from harness.report.document import Cell
from harness.report.printing import as_printed, in_unit
from harness.report.tables.conditions import evaluated
from harness.report.tables.match import (
    Candidate,
    candidates,
    count_candidates,
    device_of,
    of_trial,
    reconstruction,
    same_device,
    worst,
)
from harness.report.tables.provenance import accepted_remarks, with_set
from harness.report.tables.selection import Values, aggregate, behind, pick, values
from harness.report.tables.table import Column, Evaluated, Row, Select, Table
from harness.report.tables.timings import clean_timings, composition, machine_of, newest, shown_timings
from harness.store.records import AttemptRecord, Snapshot
from harness.trial.overrides import overrides, unstated

OURS = "a reconstruction, not compared with the paper's configuration"
Expected = Mapping[str, Mapping[str, Any]]  # a row's label -> its resolved configuration


@dataclass(frozen=True)
class TracedCell:
    """A cell with the column and row of the table's file, and the trial and attempts that its numbers are from."""

    cell: Cell
    column: Column
    row: Row
    candidate: Candidate | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    remarks: tuple[str, ...] = ()  # why it is not exact or not whole: each becomes a footnote
    chosen: int | None = None  # the seed of the run that a result shows; None where it is a mean or a median
    plain: float | None = None  # beside a time of ours: that by plain torch in the paper's order, in the column's unit

    @property
    def evaluation(self) -> Evaluated:
        """The evaluation that a result is of."""
        return evaluated(self.row, self.column)

    @property
    def dataset(self) -> str | None:
        """The data on which a result was measured, by name; None without a trial."""
        return None if self.candidate is None else _dataset(self.row, self.column, self.candidate)


def _dataset(row: Row, column: Column, candidate: Candidate) -> str:
    return column.evaluation.dataset or row.dataset or candidate.dataset


def table_cells(
    snapshot: Snapshot,
    table: Table,
    expected: Expected,
    *,
    select: Select | None = None,
    device: str | None = None,
) -> list[Cell]:
    """Return a table's cells, row by row.

    `expected` has each row's resolved configuration; `select` overrides the table's; `device` names the
    device of the times (default: that of the newest timing of the table's trials). Raises HarnessError for
    a row without a configuration.
    """
    return [found.cell for found in find(snapshot, table, expected, select=select, device=device)]


def find(
    snapshot: Snapshot,
    table: Table,
    expected: Expected,
    *,
    select: Select | None = None,
    device: str | None = None,
) -> list[TracedCell]:
    """Return a table's cells with the attempts behind them; arguments as of `table_cells`."""
    near = _nearest(snapshot, table, expected)
    last = _last_timing(snapshot, near, device)
    how = select or table.select
    found = []
    for row in table.rows:
        for column in table.columns:
            if column.source == "result":
                found.append(_result(snapshot, table, row, column, near[row.label, column.key], how))
            elif column.source == "timing":
                found.append(_time(snapshot, table, row, column, near[row.label, column.key], last))
            else:
                found.append(
                    _count(table, row, column, _counted(snapshot, table, row, expected, near[row.label, column.key]))
                )
    return found


def _nearest(snapshot: Snapshot, table: Table, expected: Expected) -> dict[tuple[str, str], list[Candidate]]:
    """Return the trials that may stand in each cell, nearest first, by row and column."""
    if table.match == "by trial":
        return {
            (row.label, column.key): of_trial(snapshot, table, row, column, expected.get(row.label))
            for row in table.rows
            for column in table.columns
        }
    rows = {row.label: _near(snapshot, table, row, expected) for row in table.rows}
    return {(label, column.key): near for label, near in rows.items() for column in table.columns}


def _counted(snapshot: Snapshot, table: Table, row: Row, expected: Expected, near: list[Candidate]) -> list[Candidate]:
    """Return the trials from which a row's counts follow."""
    if table.match == "by trial":
        network = expected.get(row.label)
        return near if network is None else [reconstruction(network, table.expect.dataset)]
    names = {"protocol": table.expect.protocol_name, "dataset": table.expect.dataset}
    return count_candidates(snapshot, expected[row.label], **names)


def _near(snapshot: Snapshot, table: Table, row: Row, expected: Expected) -> list[Candidate]:
    if row.label not in expected:
        raise HarnessError(f"table {table.table}: row '{row.label}' has no expected configuration")
    names = {"protocol": table.expect.protocol_name, "dataset": table.expect.dataset}
    return candidates(snapshot, row, expected[row.label], **names)


def _last_timing(
    snapshot: Snapshot, near: Mapping[tuple[str, str], list[Candidate]], device: str | None
) -> AttemptRecord | None:
    """Return the newest timing of a table's trials, on `device` where one is named: all its times are from there."""
    keys = {candidate.trial.key for found in near.values() for candidate in found}
    timings = [attempt for key in sorted(keys) for attempt in shown_timings(snapshot, key)]
    return newest([a for a in timings if device is None or device in (device_of(a), a.device)])


def _result(
    snapshot: Snapshot, table: Table, row: Row, column: Column, near: list[Candidate], how: Select
) -> TracedCell:
    """A metric of the run that the row's `select_by` picks, or of all stated runs."""
    seeds = table.seeds(row)
    by = column if row.select_by is None else table.column(row.select_by)
    for candidate in near:
        deciding = _values(snapshot, row, candidate, seeds, by)
        if all(value is None for value in deciding.values()):
            continue  # none of the stated runs is stored: the next nearest trial
        chosen = pick(deciding, by.better)
        known = _values(snapshot, row, candidate, seeds, column)
        ours = aggregate(known, how, column.better, chosen)
        if ours is None:
            break
        runs = snapshot.runs(candidate.trial.key)
        on, dataset = evaluated(row, column), _dataset(row, column, candidate)
        made = {s: behind(snapshot, runs[s], column.metric, on, dataset) for s in seeds if known[s] is not None}
        attempts = tuple(attempt for each in made.values() for attempt in each)
        chosen = chosen if how == "best" else None
        shown = attempts if chosen is None else made[chosen]
        remarks = [*_remarks(candidate, table), *_gaps(known), *accepted_remarks(runs[seed] for seed in made)]
        cell = _cell(
            table,
            row,
            column,
            candidate,
            ours=in_unit(ours, column),
            match=candidate.match,
            runs=len(made),
            select=how,
            values=tuple(None if v is None else in_unit(v, column) for v in known.values()),
            device=", ".join(sorted({device_of(attempt) for attempt in shown})),
            remarks=remarks,
        )
        return TracedCell(cell, column, row, candidate, attempts, tuple(remarks), chosen)
    return TracedCell(_empty(table, row, column, how), column, row)


def _values(snapshot: Snapshot, row: Row, candidate: Candidate, seeds: tuple[int, ...], column: Column) -> Values:
    return values(
        snapshot, candidate.trial.key, seeds, column.metric, evaluated(row, column), _dataset(row, column, candidate)
    )


def _gaps(known: Values) -> list[str]:
    """Say which stated seeds are missing, nan or infinite."""
    remarks = []
    missing = [str(seed) for seed, value in known.items() if value is None]
    broken = {seed: str(value) for seed, value in known.items() if value is not None and not math.isfinite(value)}
    if missing:
        remarks.append(f"{len(known) - len(missing)} of {len(known)} runs stored; missing: seed {', '.join(missing)}")
    words = sorted(set(broken.values()))
    remarks += [f"{word}: seed {', '.join(str(seed) for seed in broken if broken[seed] == word)}" for word in words]
    return remarks


def _time(
    snapshot: Snapshot, table: Table, row: Row, column: Column, near: list[Candidate], last: AttemptRecord | None
) -> TracedCell:
    """The newest timing on the device, and with the threads, of the table's last one; by default execution."""
    for candidate in near:
        timings = [
            attempt
            for attempt in shown_timings(snapshot, candidate.trial.key)
            if column.metric in attempt.measures and last is not None and machine_of(attempt) == machine_of(last)
        ]
        shown = newest(timings)
        if shown is None:
            continue
        papers = composition(shown) == "paper"
        elsewhere = not same_device(device_of(shown), table.device)
        match = worst(candidate.differences | ({"other-device"} if elsewhere else frozenset()))
        remarks = _remarks(candidate, table)
        if elsewhere:
            on = "" if table.device is None else f"; the paper's on {table.device}"
            by = "" if papers else ", by our kernels"
            remarks.append(f"other-device: measured on {device_of(shown)}{by}{on}")
        ours = in_unit(shown.measures[column.metric], column)
        remarks += ["by plain torch in the paper's order"] if papers else []
        remarks += accepted_remarks([shown])
        plain = None if papers else _plain(snapshot, candidate, column, shown)
        beside = [] if plain is None else [f"{plain:.3g} by plain torch in the paper's order"]
        cell = _cell(
            table,
            row,
            column,
            candidate,
            ours=ours,
            match=match,
            runs=1,
            select="newest",
            values=(ours,),
            device=device_of(shown),
            remarks=[*remarks, *beside],
        )
        return TracedCell(cell, column, row, candidate, (shown,), tuple(remarks), plain=plain)
    return TracedCell(_empty(table, row, column, "newest"), column, row)


def _plain(snapshot: Snapshot, candidate: Candidate, column: Column, shown: AttemptRecord) -> float | None:
    """Return what the paper's composition took on the same device and threads; None where that was not timed."""
    timings = [
        attempt
        for attempt in clean_timings(snapshot, candidate.trial.key, "paper")
        if column.metric in attempt.measures and machine_of(attempt) == machine_of(shown)
    ]
    last = newest(timings)
    return None if last is None else in_unit(last.measures[column.metric], column)


def _count(table: Table, row: Row, column: Column, near: list[Candidate]) -> TracedCell:
    """A count, rounded as it is printed."""
    for candidate in near:
        if column.metric not in candidate.trial.costs:
            continue
        cost = candidate.trial.costs[column.metric]
        ours = as_printed(in_unit(cost, column), column)
        remarks = _remarks(candidate, table)
        shown: dict[str, Any] = {"ours": ours, "values": (ours,), "match": candidate.match, "runs": 0, "select": None}
        shown["count"] = round(cost)
        cell = _cell(table, row, column, candidate, **shown, device=None, remarks=remarks)
        return TracedCell(cell, column, row, candidate, remarks=tuple(remarks))
    return TracedCell(_empty(table, row, column, None), column, row)


def _remarks(candidate: Candidate, table: Table) -> list[str]:
    """Say in what a configuration differs from what the table expects."""
    verb = "tested" if table.match == "by trial" else "trained"
    said = {
        "other-precision": f"other-precision: {candidate.trial.config.get('protocol', {}).get('precision')}",
        "other-recipe": f"other-recipe: {_recipe(candidate, table)}",
        "stand-in": f"stand-in: {verb} on {candidate.dataset}, not {table.expect.dataset}",
    }
    remarks = [text for difference, text in said.items() if difference in candidate.differences]
    as_expected = table.match == "by configuration" and candidate.match == "exact"
    return remarks if candidate.overrides is None or as_expected else [*remarks, with_set(candidate.overrides)]


def _recipe(candidate: Candidate, table: Table) -> str:
    if table.match != "by trial":
        return f"protocol {candidate.recipe}"
    if candidate.named and not candidate.trial.is_trained:
        return "our own implementation, not trained, not compared with the paper's"
    trained = [f"trained on {candidate.trained_on}"] if candidate.trained_on else []
    return "; ".join([OURS, *trained, *([f"protocol {candidate.recipe}"] if candidate.protocol else [])])


def _cell(table: Table, row: Row, column: Column, candidate: Candidate, **shown: Any) -> Cell:
    remarks: list[str] = shown.pop("remarks")
    printed = None if "stand-in" in candidate.differences else row.paper.get(column.key)
    note = "; ".join([*([printed.note] if printed and printed.note else []), *remarks]) or None
    return Cell(
        table=table.table,
        row=row.label,
        column=column.key,
        paper=None if printed is None else printed.value,
        unit=column.unit,
        protocol=candidate.recipe,
        dataset=candidate.dataset,
        note=note,
        overrides=overrides(candidate.protocol, candidate.trial.config),
        assumed=() if column.source == "cost" else unstated(candidate.protocol, candidate.trial.config),
        **shown,
    )


def _empty(table: Table, row: Row, column: Column, select: str | None) -> Cell:
    """A cell for which nothing is stored."""
    printed = row.paper.get(column.key)
    return Cell(
        table=table.table,
        row=row.label,
        column=column.key,
        paper=None if printed is None else printed.value,
        unit=column.unit,
        select=select,
        values=(None,) * len(table.seeds(row)) if column.source == "result" else (),
        protocol=table.expect.protocol_name or None,
        dataset=column.evaluation.dataset or row.dataset or table.expect.dataset,
        note=None if printed is None else printed.note,
    )
