"""Two networks image by image: the first trial of a study on x, each other trial on y, a point per image.

Which metric, its unit and which way is better are what the task declares: its primary metric, if that has one number
per item (`by_item`). Fractions of items that are right have none: McNemar's test is for those.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from harness.attempt.metrics import Metric
from harness.attempt.samples import unpacked
from harness.report.figures.groups import Group, foremost, study_groups
from harness.report.figures.results import Array, Results
from harness.report.figures.style import COLOURS, GREY, Drawn, NotDrawn, file_name, legend, new_figure
from harness.store.find import items
from harness.store.records import AttemptRecord

_ACROSS = 3
_MANY = 2000  # points, from which on they are drawn as an image within the figure

_BySeed = dict[int, Array]  # seed → float64 (items,)


@dataclass(frozen=True)
class Pair:
    """Two networks on the same items: values of the baseline and of another one, all finite."""

    label: str
    seeds: tuple[int, int]  # the baseline's, the other's
    baseline: Array  # (items,)
    other: Array  # (items,)
    left_out: int  # items without a finite number in one of the two

    @property
    def difference(self) -> float:
        """The other's mean less the baseline's."""
        return float(np.mean(self.other - self.baseline))

    def better(self, metric: Metric) -> int:
        """Return on how many items the other one is strictly better."""
        wins = self.other > self.baseline if metric.better == "higher" else self.other < self.baseline
        return int(np.count_nonzero(wins))


def item_scatters(results: Results, study: str) -> list[Drawn | NotDrawn]:
    """Draw a figure for each evaluation; nothing for a study whose primary metric has no number per item."""
    groups = study_groups(results.snapshot, study)
    asked = results.snapshot.asked(study)
    metric = foremost(results.snapshot, groups)
    if metric is None or metric.by_item is None or metric.counts_items or len(groups) < 2:
        return []
    head = (f"scatter-{study}", f"{metric.title} image by image, study {study}")
    known = [_by_evaluation(results, group, metric.by_item, asked.get(group.trial.key)) for group in groups]
    if not known[0]:
        return [NotDrawn(*head, f"no value per image is stored of the first trial, {groups[0].label}")]
    made: list[Drawn | NotDrawn] = []
    evaluations = [results.snapshot.evaluations[key] for key in known[0]]
    for evaluation in sorted(evaluations, key=lambda each: each.reading_order):
        others = zip(groups[1:], known[1:], strict=True)
        pairs = [
            pair
            for group, found in others
            if (pair := pair_of(group.label, known[0][evaluation.key], found.get(evaluation.key, {}))) is not None
        ]
        if pairs:
            name = file_name("scatter", study, evaluation.words)
            title = f"{head[1]}, {evaluation.words}"
            made.append(_figure(name, title, metric, groups[0].label, pairs))
    return made or [NotDrawn(*head, f"no trial but the first, {groups[0].label}, has values of the same images")]


def pair_of(label: str, baseline: Mapping[int, Array], other: Mapping[int, Array]) -> Pair | None:
    """Return two trials, each by seed, as a pair: at their lowest common seed, without one at the lowest of each.

    None if either has no values, or not a single item is finite in both.
    """
    if not baseline or not other:
        return None
    common = baseline.keys() & other.keys()
    seeds = (min(common), min(common)) if common else (min(baseline), min(other))
    x, y = baseline[seeds[0]], other[seeds[1]]
    if x.shape != y.shape:
        return None
    finite = np.isfinite(x) & np.isfinite(y)
    return Pair(label, seeds, x[finite], y[finite], int(np.count_nonzero(~finite))) if finite.any() else None


def _by_evaluation(results: Results, group: Group, name: str, asked: Collection[str] | None) -> dict[str, _BySeed]:
    """Return a trial's numbers per item by the evaluation's key, then by seed: of those asked for, all if None."""
    found: dict[str, _BySeed] = {}
    for seed, run in group.runs.items():
        if run.state == "done":
            for key, values in _values(results, run, name).items():
                if asked is None or key in asked:
                    found.setdefault(key, {})[seed] = values
    return found


def _values(results: Results, run: AttemptRecord, name: str) -> dict[str, Array]:
    kept = items(results.snapshot, run, results.samples)
    return {key: np.asarray(unpacked(s)) for (key, of), s in kept.items() if (of, s.encoding) == (name, "float32")}


def _figure(name: str, title: str, metric: Metric, baseline: str, pairs: Sequence[Pair]) -> Drawn:
    across = min(_ACROSS, len(pairs))
    down = math.ceil(len(pairs) / across)
    figure = new_figure(0.3 + 2.6 * max(across, 2), 0.3 + 2.7 * down + 0.19 * len(pairs))
    grid = figure.subplots(down, across, squeeze=False)
    least = min(float(min(pair.baseline.min(), pair.other.min())) for pair in pairs)
    most = max(float(max(pair.baseline.max(), pair.other.max())) for pair in pairs)
    margin = 0.05 * (most - least) or 0.5
    limits = (least - margin, most + margin)
    for place, axes in enumerate(grid.flat):
        if place < len(pairs):
            _panel(axes, metric, pairs[place], COLOURS[place % len(COLOURS)], limits)
            if place + across >= len(pairs):  # no panel below
                axes.set_xlabel("\n".join(wrap(f"{metric.label}, {baseline}", 38)), parse_math=False)
            if place % across == 0:
                axes.set_ylabel(metric.label)
        else:
            axes.set_visible(False)
    legend(*grid.flat[: len(pairs)])
    return Drawn(name, title, _caption(metric, baseline, pairs), figure)


def _panel(axes: Axes, metric: Metric, pair: Pair, colour: str, limits: tuple[float, float]) -> None:
    count = len(pair.baseline)
    unit = "" if metric.unit in {"", "fraction"} else f" {metric.unit}"
    gap = f"{pair.difference:+.{metric.digits}f}{unit}".replace("-", "\N{MINUS SIGN}")
    axes.plot(limits, limits, color=GREY, linewidth=0.8, zorder=1)
    axes.plot(
        pair.baseline,
        pair.other,
        ".",
        color=colour,
        markersize=5 if count < 200 else 2.5,
        markeredgewidth=0,
        alpha=0.7,
        zorder=2,
        rasterized=count > _MANY,
        label=f"{pair.label}: mean difference {gap}, {pair.better(metric):,} of {count:,} images better",
    )
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_title("\n".join(wrap(pair.label, 34)), fontsize=8, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _caption(metric: Metric, baseline: str, pairs: Sequence[Pair]) -> str:
    side = "Above" if metric.better == "higher" else "Below"
    told = [f"A point per image. {side} the diagonal the other trial is better than {baseline}."]
    if all(mine == theirs for mine, theirs in (pair.seeds for pair in pairs)):
        told.append(f"Seed {', '.join(map(str, sorted({pair.seeds[0] for pair in pairs})))}.")
    else:
        told.append("Seeds: " + "; ".join(f"{p.label} {p.seeds[1]} against {p.seeds[0]}" for p in pairs) + ".")
    left_out = max(pair.left_out for pair in pairs)
    if left_out:
        told.append(f"Up to {left_out:,} images without a finite number are left out.")
    return " ".join(told)
