"""Main effects and interactions of a factorial study, from all runs that there are: a mixed model with one intercept
per seed, beside the contrasts of the seeds that have all their runs, which the claims are decided by.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from harness.base.errors import HarnessError
from harness.report.document import Cell, DocColumn, DocRow, Document, Note
from harness.report.printing import NOTHING
from harness.report.render.machines import json_text
from harness.report.tables.declared import ablate_of
from harness.report.tables.statistics_table import p_text, seeds_text
from harness.report.tables.study_document import planned_trials, study_columns
from harness.report.tables.study_statistics import StudyColumn
from harness.stats.mixed import Effect, Mixed, fit
from harness.stats.tests import interval, mean
from harness.store.records import Snapshot
from harness.study.ablate import Levels, factorial_levels

_COLUMNS = ("All runs [95%]", "p", "Seeds with all runs [95%]")


@dataclass(frozen=True)
class EffectRow:
    """A main effect or an interaction of two parts, in the metric's unit: the mean with the sign plus less that with
    minus.
    """

    name: str
    mixed: Effect
    contrast: float | None  # the mean over the seeds that have all their runs; None if there are none
    contrast_95: tuple[float, float] | None


@dataclass(frozen=True)
class Effects:
    """The effects on one metric of one evaluation."""

    study: str
    label: str
    unit: str
    rows: tuple[EffectRow, ...]
    model: Mixed
    runs: int
    expected: int
    seeds: tuple[int, ...]  # with any run
    whole: tuple[int, ...]  # with all of them
    half: bool


def study_effects(snapshot: Snapshot, study: str, spec_sha: str | None = None) -> list[Effects]:
    """Return the effects of a study's `ablate` on its metric, for each evaluation.

    Raises HarnessError if its design is not factorial, or too little has run.
    """
    snapshot = snapshot.of_study(study)
    planned = planned_trials(snapshot, study, spec_sha)
    ablate = ablate_of(planned[0].spec_yaml)
    levels = None if ablate is None else factorial_levels(ablate)
    if levels is None:
        designs = "'ablate' with 'design: factorial' or 'fractional' has"
        raise HarnessError(f"study '{study}' has no main effects: {designs}")
    columns = [column for column in study_columns(snapshot, planned) if column.metric.name == levels.metric]
    if not columns:
        raise HarnessError(f"no run of study '{study}' is stored; --from names other results")
    return [_effects(study, column, levels) for column in columns]


def _effects(study: str, column: StudyColumn, levels: Levels) -> Effects:
    signs = signs_of(levels)
    runs = {
        (trial, seed): value
        for trial, values in column.values.items()
        if trial in levels.by_trial
        for seed, value in values.items()
        if math.isfinite(value)
    }
    design = [[of[trial] / 2 for of in signs.values()] for trial, _ in runs]
    try:
        model = fit(design, list(runs.values()), [seed for _, seed in runs])
    except ValueError:
        count = len({seed for _, seed in runs})
        at = f"{len(runs)} runs at {count} seed{'' if count == 1 else 's'}"
        raise HarnessError(f"study '{study}': {at} do not tell {len(signs)} effects apart") from None
    seeds = sorted({seed for _, seed in runs})
    whole = [seed for seed in seeds if all((trial, seed) in runs for trial in levels.by_trial)]
    rows = []
    for (name, of), effect in zip(signs.items(), model.effects[1:], strict=True):
        gaps = [_contrast(of, {trial: runs[trial, seed] for trial in of}) for seed in whole]
        rows.append(EffectRow(name, effect, mean(gaps) if gaps else None, interval(gaps)))
    expected = len(levels.by_trial) * len(seeds)
    return Effects(
        study, column.label, column.metric.unit, tuple(rows), model, len(runs), expected, tuple(seeds), tuple(whole),
        levels.half,
    )  # fmt: skip


def signs_of(levels: Levels) -> dict[str, dict[str, int]]:
    """Return the sign of each trial in each effect: of a half the main effects alone, which interactions alias."""
    mains = {part: {trial: int(of[part]) for trial, of in levels.by_trial.items()} for part in levels.parts}
    if levels.half:
        return mains
    pairs = combinations(levels.parts, 2)
    return {**mains, **{f"{a} × {b}": {t: mains[a][t] * mains[b][t] for t in levels.by_trial} for a, b in pairs}}


def _contrast(signs: Mapping[str, int], values: Mapping[str, float]) -> float:
    plus, minus = ([values[trial] for trial, sign in signs.items() if sign == side] for side in (1, -1))
    return mean(plus) - mean(minus)


def effects_document(found: Effects) -> Document:
    """Return the effects as a table, with how to read it."""
    rows = []
    for row in found.rows:
        cells = (
            Cell(found.study, row.name, "all runs", ours=row.mixed.estimate, unit=found.unit,
                 text=_text(row.mixed.estimate, (row.mixed.low_95, row.mixed.high_95))),
            Cell(found.study, row.name, "p", ours=row.mixed.p, text=p_text(row.mixed.p)),
            Cell(found.study, row.name, "seeds with all runs", ours=row.contrast, unit=found.unit,
                 text=NOTHING if row.contrast is None else _text(row.contrast, row.contrast_95)),
        )  # fmt: skip
        rows.append(DocRow(row.name, cells))
    unit = f" [{found.unit}]" if found.unit not in {"", "fraction"} else ""
    return Document(
        title=f"Study {found.study}",
        caption=f"effects on {found.label}{unit}",
        columns=tuple(map(DocColumn, _COLUMNS)),
        rows=tuple(rows),
        notes=tuple(map(Note, _notes(found))),
        compares=False,
    )


def _text(value: float, ends: tuple[float, float] | None) -> str:
    return f"{value:+.3g}" + ("" if ends is None else f" [{ends[0]:+.3g}, {ends[1]:+.3g}]")


def _notes(found: Effects) -> Iterator[str]:
    complete = f"{seeds_text(found.whole)} have all of theirs" if found.whole else "none has all of its runs"
    yield (
        f"{found.runs} of {found.expected} runs, seeds {seeds_text(found.seeds)}; {complete}. Standard deviation"
        f" between seeds {math.sqrt(found.model.between):.2g}, of the runs of a seed"
        f" {math.sqrt(found.model.within):.2g}."
    )
    yield (
        f"All runs: a mixed model with one intercept per seed, by restricted maximum likelihood; Student's t with"
        f" {found.model.df} degrees of freedom, p two-sided and without a correction. Runs are taken to be missing by"
        " chance and, given their seed, as normal with one variance."
    )
    if found.half:
        yield "Half of all combinations: each effect is aliased with the interaction of all other parts."
    else:
        yield (
            "An interaction is half the difference that one part makes to the effect of the other; those of three parts"
            " count as noise."
        )
    yield (
        "Claims are decided by exact sign flips of one contrast per seed, when all of their seeds have run"
        " (harness report findings)."
    )


def effects_json(found: list[Effects]) -> str:
    """Return the effects as JSON, unrounded."""
    content: list[dict[str, Any]] = [asdict(each) for each in found]
    return json_text(content)
