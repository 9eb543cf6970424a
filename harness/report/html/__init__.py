"""The report as one HTML file that opens without a network: what is stored, tables beside the paper's values, findings,
curves, costs, and every run with its configuration and how to repeat it.

    from harness.report.html import render_page
    text = render_page(results)

`page` gathers what the others make and fills the templates; style and scripts are written by hand and put inside.
"""

from harness.report.html.findings import Entry, on_the_page
from harness.report.html.page import render_page
from harness.report.html.tables import holds_paper

__all__ = ["Entry", "holds_paper", "on_the_page", "render_page"]
