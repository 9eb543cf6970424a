"""Figures from stored results: those of the paper and those that show a study, as SVG, PDF or PNG with the same bytes
for the same results, and the numbers that stand for what the paper reads off its figures.

    from harness.report.figures.make import figure_files
    files, figures = figure_files(results, "svg")

`kinds` are plots of any study (docs/plots.md).

`results`, `groups` and `quantities` need no matplotlib: the HTML page reads them too.
"""
