"""Figures from stored results: those of the paper and those that show a study, as SVG or PDF with the same bytes for
the same results, and the numbers that stand for what the paper reads off its figures.

    from harness.report.figures.make import make_figures
    made, missing = make_figures(results)

`results`, `groups` and `quantities` need no matplotlib: the HTML page reads them too.
"""
