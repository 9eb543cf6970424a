"""A forest plot: differences with their intervals, a row each, on one scale per panel.

Of tables of a paper it shows our differences over seeds and the printed ones; of a study its claims, else what its
table compares, else each trial's mean. All is drawn by the template, in percent of the width, so that it needs no
script and follows the page's colours.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from harness.report.claims.study_claims import StudyFinding
from harness.report.claims.study_words import effect_words, qualifiers
from harness.report.document import Document
from harness.report.html.anchors import claim_id
from harness.report.html.tables import TableView
from harness.report.printing import number
from harness.report.tables.statistics_table import signed
from harness.report.tables.study_document import planned_trials, study_columns
from harness.report.tables.table import NumberFormat
from harness.stats.tests import gap, interval, mean
from harness.store.records import Snapshot

_TICKS = 7
_DIFFERENCE = 3  # the field of a small table's row that prints the difference, behind label, seeds and mean
_MARGIN = 0.04  # of the range, on either side


@dataclass(frozen=True)
class Row:
    """A value with its interval. `words` prints both."""

    label: str
    words: str
    value: float
    ends: tuple[float, float] | None
    target: str = ""  # the place on the page where there is more of it
    verdict: str = ""
    within: float | None = None  # what is smaller does not matter
    paper: float | None = None  # the paper's difference
    paper_words: str = ""

    @property
    def is_outside(self) -> bool:
        """Whether the paper's difference lies outside the interval."""
        return self.paper is not None and self.ends is not None and not self.ends[0] <= self.paper <= self.ends[1]


@dataclass(frozen=True)
class Panel:
    """Rows of one unit. `of` names what the values are."""

    title: str
    of: str
    rows: tuple[Row, ...]
    has_zero: bool = True

    @property
    def papers(self) -> bool:
        """Whether any row has a value of a paper."""
        return any(row.paper is not None for row in self.rows)

    @property
    def _range(self) -> tuple[float, float]:
        shown = [edge for row in self.rows for edge in (row.value, *(row.ends or ()))]
        shown += [row.paper for row in self.rows if row.paper is not None]
        shown += [edge for row in self.rows if row.within is not None for edge in (-row.within, row.within)]
        shown += [0.0] if self.has_zero else []
        low, high = min(shown), max(shown)
        room = (high - low or abs(high) or 1.0) * _MARGIN
        return low - room, high + room

    def at(self, value: float) -> str:
        """Return the place of a value: "37.25%" of the width."""
        low, high = self._range
        return f"{100 * (value - low) / (high - low):.2f}%"

    def width(self, size: float) -> str:
        """Return a length in percent of the width."""
        low, high = self._range
        return f"{100 * size / (high - low):.2f}%"

    @property
    def ticks(self) -> list[tuple[str, str]]:
        """The place and the words of each tick."""
        low, high = self._range
        found = [float(tick) for tick in MaxNLocator(_TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
        inside = [tick for tick in found if low <= tick <= high]
        digits = _digits_of(found[1] - found[0]) if len(found) > 1 else 2
        form = NumberFormat(digits=digits)
        say = signed if self.has_zero else number
        return [(self.at(tick), say(0.0 if abs(tick) < 1e-12 else tick, form)) for tick in inside]


def _digits_of(step: float) -> int:
    """Return how many digits behind the point a step has: 0.0025 has four."""
    return len(f"{step:.10f}".rstrip("0").partition(".")[2])


def of_paper(views: Iterable[TableView]) -> list[Panel]:
    """Return our differences over seeds beside the printed ones: of each table the first column that has both."""
    return [panel for view in views if (panel := _of_document(view.document, view, papers=True)) is not None]


def of_claims(found: Sequence[StudyFinding]) -> list[Panel]:
    """Return the claims of studies that stand and of which differences are known, by study, metric and evaluation."""
    shown = [f for f in found if f.withdrawn is None and f.effect is not None and math.isfinite(f.effect)]
    several = len({f.study for f in shown}) > 1
    places = list(dict.fromkeys((f.study, f.metric, f.unit, f.on) for f in shown))
    return [
        Panel(
            f"Claims of study {study}" if several else "Claims",
            f"difference in {metric}{_bracketed(unit)}{f', {on}' if on else ''}",
            tuple(_of_claim(f) for f in shown if (f.study, f.metric, f.unit, f.on) == (study, metric, unit, on)),
        )
        for study, metric, unit, on in places
    ]


def _of_claim(f: StudyFinding) -> Row:
    late = "".join(f" ({word})" for word in qualifiers(f))
    return Row(f.id, effect_words(f), f.effect or 0.0, f.interval, claim_id(f), f"{f.verdict}{late}", within=f.by)


def of_study(snapshot: Snapshot, view: TableView, study: str) -> Panel | None:
    """Return what a study's table compares of its first metric, else each trial's mean; None without numbers."""
    return _of_document(view.document, view, papers=False) or _of_means(snapshot, view, study)


def _of_document(document: Document, view: TableView, *, papers: bool) -> Panel | None:
    """Return the rows of the first small table that compares any: as the paper has them, if `papers`."""
    for small in document.statistics:
        column = next((i for i, c in enumerate(document.columns) if _is_of(c.label, small.name)), None)
        printed = {} if column is None else {row.label: row.cells[column] for row in document.rows}
        rows = []
        for row, fields, found in zip(document.rows, small.rows, small.data, strict=True):
            if found is None or found.difference is None or found.against is None:
                continue
            if not math.isfinite(found.difference.mean):
                continue
            mine, theirs = printed.get(row.label), printed.get(found.against)
            paper = text = None
            if mine is not None and theirs is not None and mine.paper is not None and theirs.paper is not None:
                paper = gap(mine.paper, theirs.paper)
                text = signed(paper, NumberFormat(digits=_most_digits(mine.paper_text, theirs.paper_text)))
            d = found.difference
            ends = None if d.low_95 is None or d.high_95 is None else (d.low_95, d.high_95)
            target = view.targets.get(row.label, "")
            rows.append(Row(row.label, fields[_DIFFERENCE], d.mean, ends, target, paper=paper, paper_words=text or ""))
        if rows and (not papers or any(row.paper is not None for row in rows)):
            return Panel(document.title, small.title.rstrip("."), tuple(rows))
    return None


def _is_of(label: str, name: str) -> bool:
    return name == label or name.startswith(f"{label} [")


def _most_digits(*texts: str | None) -> int:
    return max(len("".join(c for c in (text or "").partition(".")[2] if c.isdigit())) for text in texts)


def _of_means(snapshot: Snapshot, view: TableView, study: str) -> Panel | None:
    narrowed = snapshot.of_study(study)
    for column in study_columns(narrowed, planned_trials(narrowed, study, None)):
        rows = []
        for name, by_seed in column.values.items():
            values = list(by_seed.values())
            if values and all(map(math.isfinite, values)):
                ends = interval(values)
                shown = "" if ends is None else f" [{', '.join(number(end, column.form) for end in ends)}]"
                words = f"{number(mean(values), column.form)}{shown}"
                rows.append(Row(name, words, mean(values), ends, view.targets.get(name, "")))
        if rows:
            return Panel(view.document.title, f"{column.label}, mean over the seeds", tuple(rows), has_zero=False)
    return None


def _bracketed(unit: str) -> str:
    return "" if unit in {"", "fraction"} else f" [{unit}]"
