"""What happens while a network trains: Fig. 4 (accuracy) and Fig. 6 (activations of the last hidden layer).

Every seed is a thin line, their median a thick one. The paper prints neither values nor seeds for them.
"""

from collections.abc import Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from harness.report.figures.groups import Group, foremost, table_groups
from harness.report.figures.results import Results, Series, observed
from harness.report.figures.style import Drawn, NotDrawn, colour_of, dashes_of, legend, new_figure

_FIG_4 = ("fig4", "Fig. 4. Test accuracy while training (MNIST)")
_FIG_6 = ("fig6", "Fig. 6. Activations of the last hidden layer while training (MNIST)")


def fig_4(results: Results) -> Drawn | NotDrawn:
    """Draw the accuracy of baseline, spatial pooling and top-k at stride 2."""
    groups = shown(table_groups(results.snapshot))
    metric = foremost(results.snapshot, groups)
    curves = [] if metric is None else [(g, found) for g in groups if (found := lines(results, g, metric.name))]
    if not curves:
        return NotDrawn(*_FIG_4, "no run of Table 1 with its curve is stored")
    figure = new_figure(6.6, 4.4)
    whole, late = figure.subplots(1, 2, width_ratios=[1, 1.15])
    for axes in (whole, late):
        for group, seeds in curves:
            draw(axes, group, seeds)
        axes.set_xlabel("Step")
    values = [v for _, seeds in curves for s in seeds.values() for v in s.values[len(s) // 4 :]]
    top = max(v for _, seeds in curves for s in seeds.values() for v in s.values)
    late.set_ylim(min(values) - 0.002, top + 0.002)
    late.set_title("the same, enlarged")
    whole.set_ylabel("Accuracy on the first 2,000 test images")
    whole.set_title("Test accuracy")
    legend(whole)
    return Drawn(*_FIG_4, _caption(groups, "observed every 100 steps on the first 2,000 test images"), figure)


def fig_6(results: Results) -> Drawn | NotDrawn:
    """Draw mean and variance of the last hidden layer's activations."""
    groups = shown(table_groups(results.snapshot))
    names = {"hidden_mean": "Mean", "hidden_variance": "Variance"}
    curves = {name: [(g, found) for g in groups if (found := lines(results, g, name))] for name in names}
    if not all(curves.values()):
        return NotDrawn(*_FIG_6, "no run of Table 1 with the activations of its last hidden layer is stored")
    figure = new_figure(6.6, 3.8)
    for axes, (name, label) in zip(figure.subplots(1, 2), names.items(), strict=True):
        for group, seeds in curves[name]:
            draw(axes, group, seeds)
        axes.set(xlabel="Step", title=label)
        axes.set_ylim(bottom=0)
    legend(figure.axes[0])
    return Drawn(*_FIG_6, _caption(groups, "of the first 1,000 test images, every 100 steps"), figure)


def shown(groups: Sequence[Group]) -> list[Group]:
    """Return the networks that the paper's Figs. 4 and 6 show: without feature pooling, and with it at stride 2."""
    return [g for g in groups if g.kinds in {(), ("spatial",), ("topk",)} and g.strides in {(), (2,)}]


def lines(results: Results, group: Group, name: str) -> dict[int, Series]:
    """Return a metric's curve by seed, of those runs that have it."""
    found = {seed: observed(results, run.uid, name) for seed, run in group.runs.items()}
    return {seed: each[1] for seed, each in found.items() if each is not None}


def middle(seeds: Sequence[Series]) -> Series:
    """Return the median over the seeds at each step that all of them have."""
    common = sorted(set.intersection(*(set(s.steps) for s in seeds)))
    known = [dict(zip(s.steps, s.values, strict=True)) for s in seeds]
    return Series(tuple(common), tuple(median(each[step] for each in known) for step in common))


def draw(axes: Axes, group: Group, seeds: dict[int, Series]) -> None:
    """Draw a group: each seed thin, the median thick."""
    style = {"color": colour_of(group), "linestyle": dashes_of(group)}
    for series in seeds.values():
        axes.plot(series.steps, series.values, linewidth=0.6, alpha=0.45, **style)
    thick = middle(list(seeds.values()))
    axes.plot(thick.steps, thick.values, label=f"{group.label} (n = {len(seeds)})", **style)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _caption(groups: Sequence[Group], how: str) -> str:
    seeds = sorted({seed for group in groups for seed in group.runs})
    marked = [f"{g.label}: {g.remark}" for g in groups if g.remark]
    words = f"{how[0].upper()}{how[1:]}. Thin: seeds {', '.join(map(str, seeds))}; thick: their median."
    return " ".join([words, *(f"{mark}." for mark in marked)])
