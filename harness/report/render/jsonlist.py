"""A table as JSON: the list of its cells."""

import json
import math
from dataclasses import asdict
from typing import Any

from harness.base.errors import printable_json
from harness.report.document import Document
from harness.report.tables.cells import Cell


def to_json(document: Document) -> str:
    """Return the cells as a JSON list. NaN and infinities, which JSON does not have, are null; the cell's
    note says so.
    """
    text = json.dumps([_finite(_fields(cell)) for cell in document.cells], ensure_ascii=False, indent=2)
    return printable_json(text) + "\n"


def _fields(cell: Cell) -> dict[str, Any]:
    """Return a cell's fields; that of values by item alone where there are any."""
    fields = asdict(cell)
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
