"""A table for machines: as JSON the list of its cells; as CSV numbers unrounded beside the paper's, then statistics."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from harness.base.errors import printable_json
from harness.base.spreadsheet import csv_cell
from harness.report.document import Cell, DocRow, Document, ItemGap, Statistics, StatisticsTable
from harness.stats.comparison import McNemar
from harness.stats.tests import deviation


def to_csv(document: Document) -> str:
    """Return one line per row (RFC 4180 quoting, line feeds): of each column the paper's value, ours,
    difference and match; behind these, of each column of results its statistics, then the row's protocol, and
    where results of any row count by a person's word alone, whose word that is, or are of what `--set` made.

    What is not stored is empty, all numbers are unrounded. Without values of a paper a column has ours alone, and of
    means that have no statistics behind them n and the sample deviation. A text that a spreadsheet would take for a
    formula comes after an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = ["row"]
    spread = [_has_spread(document, i) for i in range(len(document.columns))]
    for column, has_spread in zip(document.columns, spread, strict=True):
        name = f"{column.label} [{column.unit}]" if column.unit else column.label
        parts = ("paper", "ours", "difference", "match") if document.compares else ()
        heads += [f"{name} {part}" for part in parts] or [name]
        heads += [f"{name} {part}" for part in ("n", "sd")] if has_spread else []
    heads += [f"{small.name} {part}" for small in document.statistics for part in _parts(small, None)]
    said = [name for name in _SAID if any(_SAID[name](row) for row in document.rows)]
    writer.writerow(map(csv_cell, [*heads, "protocol", *said]))
    for i, row in enumerate(document.rows):
        fields = [row.label]
        for cell, has_spread in zip(row.cells, spread, strict=True):
            fields += _compared(cell) if document.compares else [_number(cell)]
            fields += _spread(cell) if has_spread else []
        for small in document.statistics:
            fields += map(_text, _parts(small, small.data[i]).values())
        writer.writerow(map(csv_cell, [*fields, row.protocol, *(_SAID[name](row) for name in said)]))
    return out.getvalue()


_SAID: Mapping[str, Callable[[DocRow], str]] = {
    "accepted": lambda row: "; ".join(row.accepted),
    "--set": lambda row: row.overrides,
}
"""Columns that are there only where a row has something in them."""


def _compared(cell: Cell) -> list[str]:
    return [_text(part) for part in (cell.paper, cell.ours, cell.gap, cell.match)]


def _text(part: object) -> str:
    return "" if part is None else str(part)


def _number(cell: Cell) -> str:
    whole = cell.unit == "count" and cell.ours is not None and float(cell.ours).is_integer()
    return f"{cell.ours:.0f}" if whole else _text(cell.ours)


def _has_spread(document: Document, column: int) -> bool:
    """Return whether a column holds means over seeds that no statistics stand behind."""
    means = any(row.cells[column].select == "mean" and row.cells[column].runs for row in document.rows)
    return means and not document.compares and not document.statistics


def _spread(cell: Cell) -> list[str]:
    known = [value for value in cell.values if value is not None]
    return [_text(len(known)), _text(deviation(known))]


def _by_item(small: StatisticsTable) -> bool:
    """Return whether any row of a small table is compared by numbers, one per item."""
    return any(statistics is not None and statistics.items is not None for statistics in small.data)


def _parts(small: StatisticsTable, statistics: Statistics | None) -> Mapping[str, float | str | None]:
    """Return a row's statistics by the names of their columns; all None if there are none."""
    difference = None if statistics is None else statistics.difference
    pair = None if statistics is None else statistics.mcnemar
    items = None if statistics is None else statistics.items
    return {
        "n": None if statistics is None else len(statistics.seeds),
        "mean": None if statistics is None else statistics.mean,
        "sd": None if statistics is None else statistics.sd,
        "against": None if statistics is None else statistics.against,
        "pairs": None if difference is None else len(difference.seeds),
        "mean difference": None if difference is None else difference.mean,
        "low 95": None if difference is None else difference.low_95,
        "high 95": None if difference is None else difference.high_95,
        "sign-flip p": None if difference is None else difference.p,
        "Holm p": None if difference is None else difference.p_holm,
        "draws": None if difference is None else difference.draws,
        "sign-flip p error": None if difference is None else difference.error,
        **(_pair(pair) if small.networks else {}),
        **(_items(items) if _by_item(small) else {}),
    }


def _pair(pair: McNemar | None) -> Mapping[str, float | str | None]:
    return {
        "McNemar seed": None if pair is None else pair.seed,
        "McNemar against seed": None if pair is None else pair.against_seed,
        "McNemar b": None if pair is None else pair.only_this,
        "McNemar c": None if pair is None else pair.only_against,
        "McNemar p": None if pair is None else pair.p,
    }


def _items(gap: ItemGap | None) -> Mapping[str, float | str | None]:
    names = {"items seed": "seed", "items against seed": "against_seed", "items mean difference": "mean",
             "items low 95": "low_95", "items high 95": "high_95"}  # fmt: skip
    return {name: None if gap is None else getattr(gap, field) for name, field in names.items()}


def to_json(document: Document) -> str:
    """Return the cells as a JSON list. NaN and infinities, which JSON does not have, are null; the cell's
    note says so.
    """
    return json_text([_fields(cell) for cell in document.cells])


def json_text(value: Any) -> str:
    """Return a value as indented JSON that ends in a line break; NaN and infinities are null."""
    return printable_json(json.dumps(_finite(value), ensure_ascii=False, indent=2)) + "\n"


_FOR_PEOPLE = frozenset({"paper_text", "paper_bold", "difference", "marks", "count"})


def _fields(cell: Cell) -> dict[str, Any]:
    """Return a cell's fields but those that only people read; that of values by item alone if there are any."""
    fields = {name: value for name, value in asdict(cell).items() if name not in _FOR_PEOPLE}
    statistics = fields["statistics"]
    if statistics is not None and statistics["items"] is None:
        del statistics["items"]
    return fields


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
