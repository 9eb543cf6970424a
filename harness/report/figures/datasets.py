"""Methods over many data sets: mean ranks with the critical difference, and performance profiles."""

from collections.abc import Iterator

from harness.base.errors import HarnessError
from harness.report.datasets.comparison import Comparison, compare
from harness.report.datasets.scores import count_datasets, read_scores
from harness.report.figures.results import Results
from harness.report.figures.style import COLOURS, GREY, Drawn, file_name, legend, new_figure
from harness.stats.ranks import datasets_needed

_MOST = len(COLOURS)  # profiles that can be told apart in one figure


def dataset_figures(results: Results, study: str) -> list[Drawn]:
    """Draw a study's methods over its data sets; nothing if there are too few data sets for any pair to differ."""
    if count_datasets(results.snapshot, study) < datasets_needed(1):
        return []
    try:
        found = compare(read_scores(results.snapshot, study))
    except HarnessError:  # one method, or settings that make none: `harness report datasets` says which
        return []
    if len(found.scores.datasets) < datasets_needed(1):
        return []
    return list(_figures(found))


def _figures(found: Comparison) -> Iterator[Drawn]:
    if len(found.methods) > 2:
        yield _ranks(found)
    if len(found.methods) <= _MOST:
        yield _profiles(found)


def _ranks(found: Comparison) -> Drawn:
    """Draw the critical difference diagram of Demšar: the best on the left, a bar over what is not told apart."""
    scores, ranks = found.scores, {method.name: method.mean_rank for method in found.methods}
    bars = [(min(ranks[m] for m in group), max(ranks[m] for m in group)) for group in found.cliques]
    names = list(ranks)
    rows = (len(names) + 1) // 2
    figure = new_figure(6.4, 1.1 + 0.24 * rows + 0.12 * len(bars))
    axes = figure.subplots()
    depth = 0.5 * len(bars)
    for i, (start, end) in enumerate(bars):
        axes.plot((start - 0.03, end + 0.03), (-0.5 * (i + 1),) * 2, color=COLOURS[0], linewidth=3)
    for i, name in enumerate(names):
        left = i < rows
        y = -(depth + 1 + (i if left else len(names) - 1 - i))
        edge = 0.9 if left else len(names) + 0.1
        axes.plot((ranks[name], ranks[name], edge), (0, y, y), color=GREY, linewidth=0.9)
        axes.plot([ranks[name]], [0], color=COLOURS[1], marker="o", markersize=4)
        label = f"{name} ({ranks[name]:.2f})"
        axes.text(edge + (-0.04 if left else 0.04), y, label, ha="right" if left else "left", va="center")
    axes.plot((1, 1 + found.reach), (0.9, 0.9), color=GREY, linewidth=1.6, marker="|", clip_on=False)
    axes.text(1 + found.reach / 2, 1.0, f"critical difference {found.reach:.2f}", ha="center", va="bottom", color=GREY)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    axes.spines["top"].set_position(("data", 0))
    axes.spines["top"].set_bounds(1, len(names))
    axes.xaxis.tick_top()
    axes.set_xticks(range(1, len(names) + 1))
    axes.set_yticks([])
    axes.grid(visible=False)
    wide = 0.45 * (len(names) - 1)
    axes.set_xlim(1 - wide, len(names) + wide)
    axes.set_ylim(-(depth + rows + 0.5), 1.8)
    return Drawn(
        file_name("ranks", scores.study, scores.metric.name),
        f"Mean ranks in {scores.metric.label}, study {scores.study}",
        f"Over {len(scores.datasets)} data sets, 1 is the best. A bar joins methods whose mean ranks are less than"
        " Nemenyi's critical difference at 0.05 apart; Wilcoxon's test has the last word on two methods.",
        figure,
    )


def _profiles(found: Comparison) -> Drawn:
    """Draw which share of a method's runs scores above each threshold, with 95 % bands over seeds."""
    scores = found.scores
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    for method, colour in zip(found.methods, COLOURS, strict=False):
        shares = [each.value for each in method.profile]
        axes.plot(found.thresholds, shares, color=colour, label=method.name)
        low = [each.value if each.low_95 is None else each.low_95 for each in method.profile]
        high = [each.value if each.high_95 is None else each.high_95 for each in method.profile]
        axes.fill_between(found.thresholds, low, high, color=colour, alpha=0.15, linewidth=0)
    unit = f" [{scores.metric.unit}]" if scores.metric.unit not in {"", "fraction"} else ""
    axes.set_xlabel(f"{scores.metric.label}{unit}, threshold")
    axes.set_ylabel("share of runs above")
    axes.set_ylim(-0.02, 1.02)
    legend(axes, columns=min(4, len(found.methods)))
    higher = "lower" if scores.lower_is_better else "higher"
    return Drawn(
        file_name("profiles", scores.study, scores.metric.name),
        f"Performance profiles in {scores.metric.label}, study {scores.study}",
        f"The share of all runs on {len(scores.datasets)} data sets with a score above each threshold; a curve that is"
        f" {higher} everywhere is of a better method. Bands: 95% by a bootstrap over the seeds of each data set.",
        figure,
    )
