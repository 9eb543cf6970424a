"""What was run, where, when and for how long: a row per study, command and machine."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.attempt.messages import ENDED_WELL
from harness.report.render.markdown import escape
from harness.store.records import AttemptRecord, Snapshot

_COMMANDS = {"timing": "harness run timing", "train": "harness run grid", "evaluate": "harness run grid"}


@dataclass(frozen=True)
class LogEntry:
    """The attempts of a study that ended well, by one command, on one model of device with as many threads."""

    study: str
    command: str
    device: str
    threads: int
    attempts: int
    seconds: float
    first: str  # days, such as 2026-11-30
    last: str


def run_log(found: Snapshot) -> list[LogEntry]:
    """Return what was run, study by study as they were first stored.

    A trial may stand in several studies. Its attempt is then listed under the first that asks for all of its results; a
    session of timings under the study with the fewest trials that has all of those timed.
    """
    trials: defaultdict[str, dict[str, None]] = defaultdict(dict)  # by study, an ordered set of keys
    for place in found.study_trials:
        trials[place.study][place.trial_key] = None
    asked = {study: found.asked(study) for study in trials}
    timed: defaultdict[str, set[str]] = defaultdict(set)
    for attempt in found.attempts:
        if attempt.kind == "timing":
            timed[_session(attempt)].add(attempt.trial_key)

    def study_of(attempt: AttemptRecord) -> str | None:
        if attempt.kind == "timing":
            having = [study for study, keys in trials.items() if timed[_session(attempt)] <= keys.keys()]
            return min(having, key=lambda study: len(trials[study]), default=None)
        holding = [study for study, keys in trials.items() if attempt.trial_key in keys]
        return next((study for study in holding if _asks_for(asked[study], attempt)), next(iter(holding), None))

    groups: defaultdict[tuple[str, str, str, int], list[AttemptRecord]] = defaultdict(list)
    for attempt in found.attempts:
        if attempt.kind in _COMMANDS and attempt.state in ENDED_WELL and (study := study_of(attempt)) is not None:
            groups[study, _COMMANDS[attempt.kind], attempt.device_model, attempt.threads].append(attempt)
    order = list(trials)
    return [_entry(*place, groups[place]) for place in sorted(groups, key=lambda p: (order.index(p[0]), *p[1:]))]


def _entry(study: str, command: str, device: str, threads: int, attempts: Sequence[AttemptRecord]) -> LogEntry:
    days = sorted(attempt.started[:10] for attempt in attempts)
    seconds = sum(attempt.seconds or 0.0 for attempt in attempts)
    return LogEntry(study, command, device, threads, len(attempts), seconds, days[0], days[-1])


def _session(attempt: AttemptRecord) -> str:
    return str(attempt.execution.get("session") or attempt.uid)


def _asks_for(asked: Mapping[str, Iterable[str]], attempt: AttemptRecord) -> bool:
    """Return whether a study asks for all that an attempt found; one of which nobody knows what it asks for does."""
    keys = asked.get(attempt.trial_key)
    return keys is None or {key for key, _ in attempt.results} <= {*keys}


def log_markdown(entries: Sequence[LogEntry], read: str) -> str:
    """Return the log as Markdown; `read` is where the results were read, for the command that gives it."""
    about = (
        f"Written by `harness report log --from {read}`. Hours are those of the attempts that ended well, one after the"
        " other. What several studies share is listed once. Days are in UTC."
    )
    lines = [
        *("# What was run", "", about, ""),
        "| study | command | device | threads | attempts | hours | when |",
        "|---|---|---|---:|---:|---:|---|",
    ]
    for e in entries:
        when = e.first if e.first == e.last else f"{e.first} to {e.last}"
        cells = (e.study, e.command, e.device, e.threads, e.attempts, f"{e.seconds / 3600:.2f}", when)
        lines.append(f"| {' | '.join(escape(str(cell)) for cell in cells)} |")
    hours = sum(e.seconds for e in entries) / 3600
    return "\n".join([*lines, "", f"{sum(e.attempts for e in entries)} attempts, {hours:.1f} hours.", ""])
