"""Denoising: PSNR against the noise level σ, a line a trial."""

from collections import defaultdict

from harness.report.figures.groups import Group, study_groups, study_names
from harness.report.figures.results import Results
from harness.report.figures.style import COLOURS, GREY, MARKERS, Drawn, NotDrawn, legend, new_figure
from harness.stats.tests import mean
from harness.store.find import values as known_results

_METRIC = "psnr_db"
_MISSING = ("psnr", "PSNR against σ")


def psnr_figures(results: Results) -> list[Drawn | NotDrawn]:
    """Draw a figure for each study and dataset with PSNR stored at a σ."""
    made: list[Drawn | NotDrawn] = []
    for study in study_names(results.snapshot):
        groups = study_groups(results.snapshot, study)
        lines = {group.label: _by_sigma(results, group) for group in groups}
        for data in sorted({data for found in lines.values() for data in found}):
            made += [_figure(study, data, {label: found[data] for label, found in lines.items() if data in found})]
    return made or [NotDrawn(*_MISSING, "no PSNR is stored")]


def _by_sigma(results: Results, group: Group) -> dict[str, dict[float, float]]:
    """Return the mean over the seeds by data ("bsd500 test") and σ."""
    values: dict[tuple[str, float], list[float]] = defaultdict(list)
    for run in group.runs.values():
        for (key, name), value in known_results(results.snapshot, run).items():
            record = results.snapshot.evaluations[key]
            sigma = record.condition.get("sigma")
            if name == _METRIC and isinstance(sigma, int | float):
                values[f"{record.dataset} {record.split}", float(sigma)].append(value)
    found: dict[str, dict[float, float]] = defaultdict(dict)
    for (data, sigma), each in sorted(values.items()):
        found[data][sigma] = mean(each)
    return found


def _figure(study: str, data: str, lines: dict[str, dict[float, float]]) -> Drawn:
    figure = new_figure(5.6, 3.6 + 0.14 * len(lines))
    axes = figure.add_subplot()
    for i, (label, points) in enumerate(lines.items()):
        colour = GREY if i == 0 else COLOURS[(i - 1) % len(COLOURS)]
        axes.plot(list(points), list(points.values()), f"{MARKERS[i % len(MARKERS)]}-", color=colour, label=label)
    axes.set(xlabel="σ of the noise, of 255", ylabel=f"PSNR in dB ({data})")
    legend(axes, columns=2)
    name = f"psnr-{study}-{data.replace(' ', '-')}"
    return Drawn(name, f"PSNR against σ, study {study}, {data}", "Mean over the seeds and the images.", figure)
