"""A table as CSV for machines: numbers in the column's unit, unrounded, beside the paper's."""

import csv
import io

from harness.report.document import DocCell, Document


def to_csv(document: Document) -> str:
    """Return one line a row (RFC 4180 quoting, line feeds): of each column the paper's value, ours,
    difference and match.

    What is not stored is empty. Without values of a paper, and for cells that are no numbers, ours alone as
    it is printed.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = ["row"]
    for column in document.columns:
        name = f"{column.label} [{column.unit}]" if column.unit else column.label
        parts = ("paper", "ours", "difference", "match") if document.compares else ()
        heads += [f"{name} {part}" for part in parts] or [name]
    writer.writerow(heads)
    for row in document.rows:
        fields = [row.label]
        for cell in row.cells:
            fields += _compared(cell) if document.compares else [cell.ours]
        writer.writerow(fields)
    return out.getvalue()


def _compared(cell: DocCell) -> list[str]:
    gap = None
    if cell.paper_value is not None and cell.ours_value is not None:
        gap = round(cell.ours_value - cell.paper_value, 12)
    return ["" if part is None else str(part) for part in (cell.paper_value, cell.ours_value, gap, cell.match)]
