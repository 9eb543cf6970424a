"""Tables beside the paper's values, a study's own table, and the paper's claims as data. Reads stored
records alone.

    from harness.report import filled, load_paper_table, render, table_document
    print(render(table_document(snapshot, *filled(load_paper_table(1), snapshot)), "md"))
"""

from harness.report.claims.claim import Claim, Claims, Family
from harness.report.claims.load import load_claims
from harness.report.document import Cell, Document
from harness.report.render import FORMATS, render
from harness.report.tables.cells import table_cells
from harness.report.tables.expected import Setting, expected_configs, expected_settings, filled
from harness.report.tables.provenance import stale_remarks
from harness.report.tables.study_document import study_document
from harness.report.tables.table import Table
from harness.report.tables.table_document import table_document
from harness.report.tables.table_file import load_our_table, load_paper_table, load_table, our_tables, paper_tables

PUBLIC = (
    "attainable", "claims", "datasets", "effects", "figures", "html", "include", "methods", "run_log",
    "site_sweep", "tables", "tidy",
)  # fmt: skip
"""The modules that other folders may import (`tests/test_imports.py`)."""

__all__ = [
    "FORMATS",
    "Cell",
    "Claim",
    "Claims",
    "Document",
    "Family",
    "Setting",
    "Table",
    "expected_configs",
    "expected_settings",
    "filled",
    "load_claims",
    "load_our_table",
    "load_paper_table",
    "load_table",
    "our_tables",
    "paper_tables",
    "render",
    "stale_remarks",
    "study_document",
    "table_cells",
    "table_document",
]
