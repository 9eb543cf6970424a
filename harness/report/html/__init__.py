"""The report as one HTML file that opens without a network: what was found in a few sentences and a forest plot, tables
beside the paper's values, findings, curves, costs, and every run with its configuration and how to repeat it.

    from harness.report.html import render_page
    text = render_page(results)

`page` gathers what the others make and fills the templates; style and scripts are written by hand and put inside.
"""

from harness.report.html.page import render_page

__all__ = ["render_page"]
