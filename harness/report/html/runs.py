"""Every run as the page shows it: results, log, environment, and the command that repeats it."""

import glob
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from harness.report.figures.groups import Group
from harness.report.figures.results import Results, Series
from harness.report.html.anchors import run_id
from harness.report.printing import fixed
from harness.report.tables.declared import metric_named, metrics_of, position
from harness.report.tables.match import device_of
from harness.report.tables.provenance import accepted_remarks, short
from harness.store.records import AttemptRecord, Snapshot

_LOG_LINES = 40


@dataclass(frozen=True)
class RunView:
    """An attempt that counts."""

    id: str
    title: str  # "Seed 0", "Timing, seed 0"
    state: str
    headline: str  # its first result
    facts: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    log: str
    repeat: str


def runs_of(results: Results, study: str, group: Group) -> list[RunView]:
    """Return the accepted runs of a trial by seed, each before what was evaluated later, then its timings."""
    snapshot = results.snapshot
    runs = [each for run in group.runs.values() for each in (run, *snapshot.evaluated_later(run.uid))]
    return [_view(results, study, group, attempt) for attempt in (*runs, *snapshot.timings(group.trial.key))]


def _view(results: Results, study: str, group: Group, attempt: AttemptRecord) -> RunView:
    is_timing = attempt.kind == "timing"
    found = list(_measures(attempt)) if is_timing else list(_results(results.snapshot, attempt))
    return RunView(
        id=run_id(attempt),
        title=f"Timing, seed {attempt.seed}" if is_timing else f"Seed {attempt.seed}",
        state=attempt.state,
        headline=" ".join(found[0]) if found else "",
        facts=tuple(_facts(attempt)),
        results=tuple(found if is_timing else [*found, *_measures(attempt)]),
        environment=tuple(_environment(attempt)),
        log="" if is_timing else log_of(results.curves(attempt.uid)),
        repeat=repeat(results.snapshot, study, group.label, attempt),
    )


def repeat(snapshot: Snapshot, study: str, name: str, attempt: AttemptRecord) -> str:
    """Return the command that makes an attempt like this one again from the study's file, under its own name.

    A seed that another study added to the trial is set; a timing is one of the seed that the command takes.
    """
    is_timing = attempt.kind == "timing"
    planned = {
        seed
        for record in snapshot.study_trials
        if (record.study, record.name) == (study, name)
        and record.trial_key in {attempt.trial_key, *(word.key for word in attempt.by_word)}
        for seed in record.seeds
    }
    words = ["harness", "run", "timing" if is_timing else "grid", f"{study}.yml", "--only", glob.escape(name)]
    if not is_timing and attempt.seed not in planned:
        words += ["--set", f"seeds=[{attempt.seed}]"]
    words += ["--kernels", "torch"] if is_timing and attempt.execution.get("kernels") == "torch" else []
    words += ["--threads", str(attempt.threads)]
    words += [] if attempt.device == "cpu" else ["--device", attempt.device]
    return shlex.join(words)


def log_of(curves: Mapping[tuple[str, str], Series]) -> str:
    """Return what was logged at the end of each epoch as lines: the steps of the sparsest curve but the training's, and
    every metric that has a value there. Of many lines some, evenly, first and last among them.
    """
    beside = [series for (split, _), series in curves.items() if split != "train"] or list(curves.values())
    if not beside:
        return ""
    steps = min(beside, key=len).steps
    names = [place for place, series in curves.items() if set(steps) <= set(series.steps)]
    known = {place: dict(zip(curves[place].steps, curves[place].values, strict=True)) for place in names}
    heads = ["step", *(" ".join(part for part in place if part) for place in names)]
    rows = [[f"{step:,}", *(_short(known[place][step]) for place in names)] for step in _some(steps)]
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(field.rjust(width) for field, width in zip(row, widths, strict=True)) for row in [heads, *rows]]
    left = len(steps) - len(rows)
    return "\n".join([*lines, *([f"({left} of {len(steps)} lines left out)"] if left else [])])


def _some(steps: tuple[int, ...]) -> list[int]:
    if len(steps) <= _LOG_LINES:
        return list(steps)
    last = len(steps) - 1
    return [steps[round(i * last / (_LOG_LINES - 1))] for i in range(_LOG_LINES)]


def _short(value: float, digits: int = 4) -> str:
    return fixed(value, digits) if abs(value) < 1000 else f"{value:.4g}"


def _facts(attempt: AttemptRecord) -> Iterator[tuple[str, str]]:
    yield "State", attempt.state
    yield "Seed", str(attempt.seed)
    yield "Started", attempt.started[:19].replace("T", " ")
    seconds = _seconds(attempt)
    if seconds is not None:
        yield "Took", f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"
    yield "Device", f"{device_of(attempt)}, {attempt.threads} thread{'s' if attempt.threads != 1 else ''}"
    yield "Code digest", attempt.code_digest or "unknown"
    yield "Attempt", attempt.uid
    for remark in accepted_remarks([attempt]):
        yield "Accepted", remark
    for name in ("resumed_from", "weights_from", "supersedes"):
        if getattr(attempt, name):
            yield name.replace("_", " ").capitalize(), str(getattr(attempt, name))
    said = ", ".join(f"{k} {_plain(v)}" for k, v in sorted(attempt.execution.items()) if k not in {"device", "threads"})
    yield "Execution", said


def _seconds(attempt: AttemptRecord) -> float | None:
    if attempt.ended is None:
        return None
    try:
        return (datetime.fromisoformat(attempt.ended) - datetime.fromisoformat(attempt.started)).total_seconds()
    except (ValueError, TypeError):
        return None


def _results(snapshot: Snapshot, attempt: AttemptRecord) -> Iterator[tuple[str, str]]:
    metrics = metrics_of(snapshot, attempt.trial_key)
    places = [(position(metrics, name), snapshot.evaluations[key]) for key, name in attempt.results]
    for (_, name), record in sorted(places, key=lambda place: (place[0], place[1].reading_order)):
        metric, value = metric_named(metrics, name), attempt.results[record.key, name]
        under = "".join(f", {k} {v}" for k, v in record.spoken.items())
        yield f"{metric.label} ({record.dataset} {record.split}{under})", _short(value, metric.digits)


def _measures(attempt: AttemptRecord) -> Iterator[tuple[str, str]]:
    names = sorted(attempt.measures, key=lambda name: (not name.startswith("train_s"), name))
    for name in names:
        value = attempt.measures[name]
        if name.endswith("_bytes"):
            yield f"{name.removesuffix('_bytes').replace('_', ' ')}", f"{value / 2**20:,.0f} MiB"
        else:
            yield name, f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _environment(attempt: AttemptRecord) -> Iterator[tuple[str, str]]:
    for name, value in sorted(attempt.environment.items()):
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{part} {_plain(fact)}" for part, fact in sorted(value.items()))
        elif name == "git_sha":
            yield "git commit", short(str(value))
        elif value is not None:
            yield name, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
