"""Tables beside the paper's values, a study's own table, and the paper's claims as data. Reads stored
records alone.

from harness.report import expected_configs, expected_settings, load_paper_table, render, table_document
table = load_paper_table(1) print(render(table_document(snapshot, table, expected_configs(table),
expected_settings(table)), "md"))
"""

from harness.report.cells import Cell, table_cells
from harness.report.claims import Claim, Claims, Family, load_claims
from harness.report.document import Document
from harness.report.expected import expected_configs, expected_settings
from harness.report.render import FORMATS, render
from harness.report.study_document import study_document
from harness.report.table import Table, load_paper_table, load_table, paper_tables
from harness.report.table_document import Setting, table_document

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
    "load_claims",
    "load_paper_table",
    "load_table",
    "paper_tables",
    "render",
    "study_document",
    "table_cells",
    "table_document",
]
