"""All figures: those whose data are stored are drawn, the others are named with what is missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.base.errors import HarnessError
from harness.report.figures.claims import claims_figures
from harness.report.figures.datasets import dataset_figures
from harness.report.figures.groups import has_networks, study_groups, study_names, table_groups
from harness.report.figures.kinds import KINDS, check_options, draw_kind
from harness.report.figures.maps import fig_5, fig_5_each
from harness.report.figures.pictures import crops_and_residuals
from harness.report.figures.results import Results
from harness.report.figures.scatter import item_scatters
from harness.report.figures.study import (
    COSTS,
    against_cost,
    against_seconds,
    by_placement,
    condition_figures,
    training_time,
)
from harness.report.figures.style import Drawn, Format, NotDrawn, as_bytes, styled
from harness.report.figures.training import fig_4, fig_6
from harness.report.tables.provenance import accepted_remarks
from harness.report.tables.table_file import load_paper_table, paper_tables
from harness.report.tidy import tidy
from harness.store.flat import COLUMNS, rows
from harness.store.records import AttemptRecord
from harness.trial.overrides import protocol_in_words
from harness.trial.tasks import TASKS


def draw_all(results: Results, study: str | None = None) -> list[Drawn | NotDrawn]:
    """Return every figure, the paper's first, then study by study; of one study its own. Call within `styled`.

    Of a person's own functions alone those of the paper are not even named. Raises HarnessError for a study that is not
    stored.
    """
    if study is not None:
        results.snapshot.places([study])
        of_networks = has_networks(study_groups(results.snapshot, study))
        kinds = [kind for kind in KINDS if kind != "pareto" or not of_networks]  # theirs are drawn against all costs
        own = [each for each in _of_studies(results, [study]) if of_networks or isinstance(each, Drawn)]
        return [*own, *condition_figures(results, study), *_kinds(results, study, kinds, {})]
    stored = study_names(results.snapshot)
    if stored and not any(has_networks(study_groups(results.snapshot, study)) for study in stored):
        return list(_of_studies(results, stored))
    behind = [run for group in table_groups(results.snapshot) for run in group.runs.values()]
    papers = [_noted(each(results), behind) for each in (fig_4, fig_5, fig_5_each, fig_6)]
    return [*papers, *_of_studies(results, stored), *_not_run(stored), *condition_figures(results)]


def figure_files(
    results: Results, form: Format, study: str | None = None
) -> tuple[dict[str, bytes], list[Drawn | NotDrawn]]:
    """Return the files of what can be drawn, by name, and all figures, drawn or not; of one study, if it is named."""
    with styled():
        figures = draw_all(results, study)
        files = {f"{each.name}.{form}": as_bytes(each, form) for each in figures if isinstance(each, Drawn)}
    return files, figures


def kind_files(
    results: Results, form: Format, study: str, kinds: Sequence[str], options: Mapping[str, Any]
) -> tuple[dict[str, bytes], list[Drawn | NotDrawn]]:
    """Return the files of some kinds of plots of a study, by name, and the figures.

    Raises HarnessError for options that go with none of the kinds, for a study that is not stored, and if the only kind
    cannot be drawn.
    """
    check_options(kinds, options)
    with styled():
        figures = list(_kinds(results, study, dict.fromkeys(kinds), options))
        missing = [each for each in figures if isinstance(each, NotDrawn)]
        if len(missing) == len(figures) == 1:
            raise HarnessError(f"{missing[0].title}: {missing[0].why}")
        files = {f"{each.name}.{form}": as_bytes(each, form) for each in figures if isinstance(each, Drawn)}
    return files, figures


def _kinds(
    results: Results, study: str, kinds: Iterable[str], options: Mapping[str, Any]
) -> Iterator[Drawn | NotDrawn]:
    found = tidy(results.snapshot, [study])
    runs = [run for group in study_groups(results.snapshot, study) for run in group.runs.values()]

    def points() -> list[dict[str, Any]]:
        table = rows(results.store, "curves", studies=[study], protocol_in_words=protocol_in_words)
        return [dict(zip(COLUMNS["curves"], row, strict=True)) for row in table]

    for kind in kinds:
        try:
            yield _noted(draw_kind(kind, study, found, points, options), runs, _made_by_set(results, study))
        except HarnessError as error:
            yield NotDrawn(kind, f"{kind} of study {study}", str(error))


def _of_studies(results: Results, stored: Sequence[str]) -> Iterator[Drawn | NotDrawn]:
    for study in stored:
        groups = study_groups(results.snapshot, study)
        runs = [run for group in groups for run in group.runs.values()]
        timings = [timing for group in groups for timing in results.snapshot.timings(group.trial.key)]
        for made in (*(against_cost(results, study, cost) for cost in COSTS), by_placement(results, study)):
            if made is not None:
                yield _noted(made, runs, _made_by_set(results, study))
        for drawn in (*claims_figures(results, study), *dataset_figures(results, study)):
            yield _noted(drawn, runs, _made_by_set(results, study))
        for figure in (training_time(results, study), against_seconds(results, study)):
            if figure is not None:
                yield _noted(figure, timings, _made_by_set(results, study))
        yield from image_figures(results, study)


def image_figures(results: Results, study: str) -> list[Drawn | NotDrawn]:
    """Return the figures of a study that show single images: crops, residuals, two networks image by image.

    Call within `styled`.
    """
    runs = [run for group in study_groups(results.snapshot, study) for run in group.runs.values()]
    made = [*crops_and_residuals(results, study), *item_scatters(results, study)]
    return [_noted(figure, runs, _made_by_set(results, study)) for figure in made]


def _made_by_set(results: Results, study: str) -> list[str]:
    """Return what is to be said of the trials that stand in a study now and are not its own."""
    return list(
        dict.fromkeys(f"Run with --set {p.overrides}." for p in results.snapshot.standing(study) if p.overrides)
    )


def _noted(figure: Drawn | NotDrawn, behind: Iterable[AttemptRecord], changed: Sequence[str] = ()) -> Drawn | NotDrawn:
    """Return a figure whose caption says what of it is `changed` by `--set`, and which of the attempts behind it count
    by a person's word alone.
    """
    said = [*changed, *(f"Some of it was {remark}." for remark in accepted_remarks(behind))]
    if not said or isinstance(figure, NotDrawn):
        return figure
    return replace(figure, caption=" ".join([figure.caption, *said]).lstrip())


def _not_run(stored: Sequence[str]) -> Iterator[NotDrawn]:
    titles = _papers_studies()
    for study in sorted(titles.keys() - set(stored)):
        yield NotDrawn(
            f"parameters-{study}", f"{titles[study]} against costs and by placement, study {study}", "not run"
        )


def _papers_studies() -> dict[str, str]:
    """Return the studies whose trials the paper's tables show with the foremost metric of their task, and its title."""
    titles: dict[str, str] = {}
    for table in map(load_paper_table, paper_tables()):
        task = TASKS.get(table.expect.task)
        metric = None if task is None else task.metrics[0]
        if metric is not None and any(c.metric == metric.name and c.source == "result" for c in table.columns):
            titles |= {row.trial.study: metric.title for row in table.rows}
    return titles
