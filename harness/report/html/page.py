"""The page: gathers what the other modules make, and fills the templates.

The same results give the same bytes: nothing of the time or the machine of its making is in it.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

import harness
from harness.base.errors import printable, printable_json
from harness.report.figures.groups import study_groups, study_names
from harness.report.figures.make import image_figures
from harness.report.figures.maps import mean_map, plain, stored_maps
from harness.report.figures.numbers import Numbers, Pointing, Reading, figure_of, quantities, read_numbers
from harness.report.figures.results import Array, Results
from harness.report.figures.style import Drawn, as_bytes, styled
from harness.report.html.answers import answers
from harness.report.html.charts import COSTS, costs, costs_title, curves
from harness.report.html.findings import Found, asides, claimed, found_in, verdicts
from harness.report.html.forest import Panel, of_claims, of_paper, of_study
from harness.report.html.studies import StudyView, all_studies, in_order
from harness.report.html.tables import COUNTED, TableView, all_tables, holds_paper
from harness.report.printing import count_text, fixed
from harness.report.tables.match import device_of
from harness.store.records import Snapshot

FOLDER = Path(__file__).parent
_MILLION = 2**20  # an M of the paper's tables, and so of a page that shows them
_PLAIN = " /:=?;,.()+-*!@$[]_~"  # in a data URI: an SVG as text is a fifth smaller than in base64
_COMPARED = 4  # studies whose comparisons the forest plot shows, if none has claims
_STYLES = ("style.css", "parts.css")
_SCRIPTS = ("page.js", "findings.js", "chart.js", "curves.js", "costs.js")
_EXPLAINED = {
    "exact": "the paper's configuration",
    "other-device": "a time on another device",
    "other-precision": "other numeric precision",
    "other-recipe": "another training recipe",
    "stand-in": "other training data",
    "not run": "nothing is stored",
}


@dataclass(frozen=True)
class FigureNumbers:
    """A figure of the paper in numbers: a row per network, and what the paper reads from it."""

    figure: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    pointing: tuple[Pointing, ...]

    @property
    def repeats(self) -> list[int]:
        """For each sentence how many of the following have its quote, itself among them."""
        quotes = [p.claim.quote for p in self.pointing]
        return [len(list(takewhile(quote.__eq__, quotes[i:]))) for i, quote in enumerate(quotes)]


def render_page(results: Results) -> str:
    """Return the whole page. Without the paper's trials it has nothing of the paper, without claims no findings.

    `Results` of one study alone (`Snapshot.only`) make a page about it.
    """
    snapshot = results.snapshot
    with_paper = holds_paper(results)
    papers, ours = all_tables(results) if with_paper else ([], [])
    names = in_order(study_names(snapshot))
    studies = all_studies(results, names)
    numbers, found = read_numbers(results), found_in(results, paper=with_paper)
    panels = _panels(results, papers, studies, found)
    million = _MILLION if papers else 10**6
    against_costs = costs(results, names)
    data = {"curves": curves(results, names), "costs": against_costs, "million": million}
    claims = claimed(found)
    return (
        _environment(million)
        .get_template("page.html.j2")
        .render(
            version=harness.__version__,
            style="\n".join((FOLDER / name).read_text(encoding="utf-8") for name in _STYLES),
            script="\n".join((FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS),
            data=data,
            facts=_facts(snapshot, len(names)),
            answers=answers(found, panels),
            forest_panels=panels,
            shades=any(row.within is not None for panel in panels for row in panel.rows),
            papers=papers,
            ours=ours,
            matches=_nearness(papers),
            counts_shown=any("parameters" in a.trial.costs for name in names for a in study_groups(snapshot, name)),
            claims=claims,
            verdicts=verdicts(claims),
            places=list(dict.fromkeys(claim.about for claim in claims)),
            asides=asides(found),
            studies=studies,
            own=[] if papers else [study.table for study in studies],
            strips=map_strips(results),
            pictures=pictures_of(results, names),
            figures=_figures(numbers),
            between=[fixed(value, 3) for value in numbers.between_baselines],
            cost_names=COSTS,
            costs_title=costs_title(against_costs),
        )
    )


def _panels(results: Results, papers: Sequence[TableView], studies: Sequence[StudyView], found: Found) -> list[Panel]:
    """Return what the forest plot shows: of one study its claims first, else the paper's differences, else claims,
    else what the studies' tables compare, of the first few.
    """
    claims = of_claims(found.studies)
    if (claims and len(studies) == 1) or not papers:
        compared = (of_study(results.snapshot, study.table, study.name) for study in studies[:_COMPARED])
        return claims or [panel for panel in compared if panel is not None]
    return of_paper(papers) or claims


def _facts(snapshot: Snapshot, studies: int) -> str:
    """Return in a sentence what the page rests on; "" of nothing."""
    counted = [a for a in snapshot.attempts if a.accepted]
    timed = [a for a in snapshot.attempts if a.kind == "timing" and a.state == "done"]
    if not (counted or timed):
        return ""
    runs = [
        f"{len(of):,} {word}{'' if len(of) == 1 else 's'}" for of, word in ((counted, "run"), (timed, "timing")) if of
    ]
    trials = len({a.trial_key for a in (*counted, *timed)})
    places = f"{trials:,} trial{'' if trials == 1 else 's'}{f' in {studies} studies' if studies > 1 else ''}"
    newest = max(a.started[:10] for a in (*counted, *timed))
    devices = "; ".join(sorted({device_of(a) for a in (*counted, *timed)}))
    return f"{' and '.join(runs)} of {places}, the newest of {newest}, on {devices}."


def _nearness(papers: Sequence[TableView]) -> dict[str, str]:
    """Return what each nearness that cells of these tables have means."""
    return {match: _EXPLAINED[match] for match in COUNTED if any(view.counts[match] for view in papers)}


def _environment(million: int = 10**6) -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["count"] = partial(count_text, million=million)
    made.tests["finite"] = lambda value: value is not None and math.isfinite(value)
    made.policies["json.dumps_function"] = _json
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
    return made


def _shown(value: Any) -> Any:
    """Return what a template prints, with control characters as \\x1b."""
    return type(value)(printable(value)) if isinstance(value, str) else value


def _json(value: Any, **options: Any) -> str:
    return printable_json(json.dumps(value, **options))


def _figures(numbers: Numbers) -> list[FigureNumbers]:
    made = []
    for figure in dict.fromkeys(figure_of(q) for q in quantities()):
        columns = tuple(q for q in quantities() if figure_of(q) == figure and numbers.of(q))
        found: dict[str, dict[str, Reading]] = {}
        for reading in (r for q in columns for r in numbers.of(q)):
            found.setdefault(reading.label, {})[reading.quantity] = reading
        rows = tuple(
            (label, tuple(by[q].words if q in by else "\N{EN DASH}" for q in columns)) for label, by in found.items()
        )
        pointing = tuple(p for p in numbers.pointing if figure_of(p.claim.quantity) == figure)
        if rows:
            made.append(FigureNumbers(figure, columns, rows, pointing))
    return made


@dataclass(frozen=True)
class Strip:
    """A row of the figure: ten pictures side by side as one, as a data URI; its size in pixels."""

    label: str
    source: str
    width: int
    height: int


def map_strips(results: Results) -> list[Strip]:
    """Return the originals and each network's mean maps; nothing if no maps are stored."""
    found = stored_maps(results)
    if not found:
        return []
    originals = _strip("Original", [plain(image) for image in found[0][2].images])
    return [originals, *(_strip(g.label, [mean_map(each) for each in m.maps]) for g, _, m in found)]


def _strip(label: str, pictures: list[Array]) -> Strip:
    whole = np.concatenate(pictures, axis=1)  # (H, 10 W), 0 to 1
    image = Image.fromarray((255 * whole).round().astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return Strip(label, _data_uri("png", buffer.getvalue()), image.width, image.height)


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI; its size in pixels of the page."""

    study: str
    title: str
    caption: str
    source: str
    width: int
    height: int


def pictures_of(results: Results, studies: Sequence[str]) -> list[Picture]:
    """Return what studies show of single images as pictures; nothing if no study has any."""
    made = []
    with styled():
        shown = ((study, each) for study in studies for each in image_figures(results, study))
        for study, drawn in ((study, each) for study, each in shown if isinstance(each, Drawn)):
            source = f"data:image/svg+xml,{quote(as_bytes(drawn, 'svg').decode(), safe=_PLAIN)}"
            width, height = (round(96 * inches) for inches in drawn.figure.get_size_inches())
            made.append(Picture(study, drawn.title, drawn.caption, source, width, height))
    return made


def _data_uri(form: str, content: bytes) -> str:
    return f"data:image/{form};base64,{base64.b64encode(content).decode()}"
