"""Training time by compressor: the newest clean timing of each of a study's trials, with its spread."""

from harness.report.figures.groups import study_groups
from harness.report.figures.results import Results
from harness.report.figures.style import Drawn, NotDrawn, colour_of, new_figure
from harness.report.tables.provenance import threads_of
from harness.report.tables.timings import newest, place_of, shown_timings
from harness.store.records import AttemptRecord

_METRIC = "train_s_per_epoch"


def training_time(results: Results, study: str) -> Drawn | NotDrawn:
    """Draw seconds an epoch, a bar a trial, all on one device."""
    head = (f"time-{study}", f"Training time, study {study}")
    timed = []
    for group in study_groups(results.snapshot, study):
        mine = [a for a in shown_timings(results.snapshot, group.trial.key) if _METRIC in a.measures]
        timed += [(group, attempt) for attempt in mine]
    last = newest([attempt for _, attempt in timed])
    if last is None:
        return NotDrawn(*head, f"no timing is stored; harness run timing {study}.yml makes them")
    shown = {g.label: (g, a) for g, a in timed if place_of(a) == place_of(last)}  # oldest first: the newest stays
    bars = list(shown.values())
    figure = new_figure(6.4, 0.9 + 0.3 * len(bars))
    axes = figure.add_subplot()
    for place, (group, attempt) in enumerate(bars):
        seconds = attempt.measures[_METRIC]
        below, above = _spread(attempt, seconds)
        axes.barh(place, seconds, height=0.62, color=colour_of(group), alpha=0.5 if group.strides == (4,) else 0.85)
        axes.errorbar(seconds, place, xerr=[[below], [above]], color="#222222", linewidth=1, capsize=2)
        axes.annotate(
            f"{seconds:.2f} s", (seconds + above, place), xytext=(5, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(bars)), [group.label for group, _ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(right=1.12 * max(a.measures.get(f"{_METRIC}_max", a.measures[_METRIC]) for _, a in bars))
    axes.set_xlabel("Seconds an epoch (median; least to most)")
    caption = f"On {place_of(last)[0]}, {threads_of([last])}, alone on the device."
    return Drawn(*head, caption, figure)


def _spread(attempt: AttemptRecord, seconds: float) -> tuple[float, float]:
    least = attempt.measures.get(f"{_METRIC}_min", seconds)
    most = attempt.measures.get(f"{_METRIC}_max", seconds)
    return seconds - least, most - seconds
