"""All figures: those whose data are stored are drawn, the others are named with what is missing."""

from collections.abc import Iterator, Sequence

from harness.report.figures.cost import COSTS, against_cost
from harness.report.figures.denoising import psnr_figures
from harness.report.figures.groups import has_networks, study_groups, study_names
from harness.report.figures.maps import fig_5, fig_5_each
from harness.report.figures.placement import by_placement
from harness.report.figures.results import Results
from harness.report.figures.style import Drawn, Format, NotDrawn, as_bytes, styled
from harness.report.figures.timing import training_time
from harness.report.figures.training import fig_4, fig_6
from harness.report.tables.table_file import load_paper_table, paper_tables


def draw_all(results: Results) -> list[Drawn | NotDrawn]:
    """Return every figure, the paper's first, then study by study. Call within `styled`.

    Of a person's own functions alone those of the paper are not even named.
    """
    stored = study_names(results.snapshot)
    if stored and not any(has_networks(study_groups(results.snapshot, study)) for study in stored):
        return list(_of_studies(results, stored))
    papers = [each(results) for each in (fig_4, fig_5, fig_5_each, fig_6)]
    return [*papers, *_of_studies(results, stored), *_not_run(stored), *psnr_figures(results)]


def figure_files(results: Results, form: Format) -> tuple[dict[str, bytes], list[Drawn | NotDrawn]]:
    """Return the files of what can be drawn, by name, and all figures, drawn or not."""
    with styled():
        figures = draw_all(results)
        files = {f"{each.name}.{form}": as_bytes(each, form) for each in figures if isinstance(each, Drawn)}
    return files, figures


def _of_studies(results: Results, stored: Sequence[str]) -> Iterator[Drawn | NotDrawn]:
    for study in stored:
        for cost in COSTS:
            made = against_cost(results, study, cost)
            if made is not None:
                yield made
        placed = by_placement(results, study)
        if placed is not None:
            yield placed
        yield training_time(results, study)


def _not_run(stored: Sequence[str]) -> Iterator[NotDrawn]:
    for study in sorted(_papers_studies() - set(stored)):
        yield NotDrawn(f"parameters-{study}", f"Accuracy against costs and by placement, study {study}", "not run")


def _papers_studies() -> set[str]:
    """Return the studies whose trials the paper's tables with an accuracy show."""
    tables = [load_paper_table(number) for number in paper_tables()]
    shown = [t for t in tables if any(c.metric == "accuracy" and c.source == "result" for c in t.columns)]
    return {row.trial.study for table in shown for row in table.rows}
