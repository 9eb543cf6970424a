"""A run that another tool has recorded, and what the store takes in of it."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harness.attempt.messages import flagged
from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, name_fault
from harness.base.keys import KEY_SCHEME, canonical_json, text_sha, trial_key
from harness.store.published import FORMAT
from harness.trial.function import RETURNED
from harness.trial.trial import FUNCTION

Setting = str | int | float | bool
_IMPORTED = "imported:"  # in place of what a function's trial calls


@dataclass(frozen=True)
class OutsideRun:
    """A run as another tool has it. `seed` None: it has none that is known, and gets a number among its like."""

    where: str  # for people: "runs.csv:3"
    settings: Mapping[str, Setting]
    results: Mapping[str, float]
    seed: int | None
    started: str  # times as the store has them
    ended: str
    curve: Sequence[tuple[str, int, float]] = field(default=())  # metric, step, value
    state: str | None = None  # of a run that did not end well, what its tool calls that


@dataclass(frozen=True)
class Taken:
    """What is taken in: lines of the published format, of how many trials."""

    lines: Sequence[str]
    trials: Sequence[str]  # their names
    seeds: Sequence[int]


def is_imported(config: Mapping[str, Any]) -> bool:
    """Return whether a trial's configuration is of imported runs."""
    return str(config["task"].get("target", "")).startswith(_IMPORTED)


def setting_of(text: str) -> Setting | None:
    """Return a setting that a tool has kept as text: a number, true or false, else the text; None of an empty one."""
    words = text.strip()
    if not words or words.lower() in {"none", "null"}:
        return None
    if words.lower() in {"true", "false"}:
        return words.lower() == "true"
    for kind in (int, float):
        with suppress(ValueError):
            value = kind(words)
            return value if abs(value) < math.inf and "_" not in words else words  # nor nan
    return words


def take_runs(runs: Sequence[OutsideRun], study: str, metrics: Sequence[Metric], source: str) -> Taken:
    """Return what a store takes in of runs. Trials are what differs in its settings, in the order of their first run.

    Args:
        runs: those that ended well; others are left out.
        study: the name of the study that they become.
        metrics: which of their results are taken, the primary first.
        source: what they were read from, for people.

    Raises:
        HarnessError: no run with the primary metric, two runs with the same settings and seed, a name that cannot be
            one.
    """
    for metric in metrics:
        if (fault := name_fault(metric.name)) is not None:
            raise HarnessError(f"{source}: the metric '{metric.name}' cannot be a name: {fault}")
    having = [run for run in runs if run.state is None and metrics[0].name in run.results]
    if not having:
        known = sorted({name for run in runs for name in run.results})
        has = f"; it has: {', '.join(known)}" if known else ""
        raise HarnessError(f"{source}: no run that ended well has the metric '{metrics[0].name}'{has}")
    by_settings: defaultdict[str, list[OutsideRun]] = defaultdict(list)
    for run in having:
        by_settings[canonical_json(dict(run.settings))].append(run)
    differing = _differing([group[0].settings for group in by_settings.values()])
    seeded = {settings: _seeds(group) for settings, group in by_settings.items()}
    seeds = sorted({seed for group in seeded.values() for seed in group})
    names = _names([group[0].settings for group in by_settings.values()], differing)
    about = _Study(study, source, metrics, seeds, min(run.started for run in having))
    lines = [
        about.line(run, seed, name, position)
        for position, (name, (settings, group)) in enumerate(zip(names, by_settings.items(), strict=True))
        for seed, run in zip(seeded[settings], group, strict=True)
    ]
    return Taken(lines, names, seeds)


def _seeds(runs: Sequence[OutsideRun]) -> list[int]:
    """Return the seeds of runs with the same settings: their own, or their numbers if they have none."""
    if all(run.seed is None for run in runs):
        return list(range(len(runs)))
    first: dict[int, str] = {}
    for run in runs:
        if run.seed is None:
            raise HarnessError(f"{run.where}: no seed, and others with the same settings have one")
        if run.seed in first:
            raise HarnessError(
                f"{run.where}: the same settings and seed {run.seed} as {first[run.seed]}: leave one out, or name a"
                " setting in which they differ"
            )
        first[run.seed] = run.where
    return list(first)


def _differing(settings: Sequence[Mapping[str, Setting]]) -> list[str]:
    """Return the names of the settings in which trials differ, in their order."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({repr(each.get(name)) for each in settings}) > 1]


def _names(settings: Sequence[Mapping[str, Setting]], differing: Sequence[str]) -> list[str]:
    """Return a name of each trial: what differs, in words."""
    if not differing:
        return ["imported"]
    return [", ".join(f"{name} {each[name]}" for name in differing if name in each) or "default" for each in settings]


@dataclass(frozen=True)
class _Study:
    """The study that runs become."""

    name: str
    source: str
    metrics: Sequence[Metric]
    seeds: Sequence[int]
    created: str

    def line(self, run: OutsideRun, seed: int, trial: str, position: int) -> str:
        """Return a run as a line of the published format (`harness.store.published`)."""
        config = {"task": {"kind": FUNCTION, "target": f"{_IMPORTED}{self.name}"}, "arguments": dict(run.settings)}
        text = f"# Imported from {self.source}; nothing here can run it again.\nstudy: {self.name}\n"
        place = {
            "name": self.name,
            "spec_yaml": text,
            "spec_sha": text_sha(text),
            "created": self.created,
            "trial_name": trial,
            "position": position,
            "seeds": list(self.seeds),
            "protocol_name": "imported",
            "added": self.created,
            "evaluations": [RETURNED.key],
        }
        found = [metric.name for metric in self.metrics if metric.name in run.results]
        content = {
            "format": FORMAT,
            "kind": "train",
            "state": "done",
            "trial": {
                "key": trial_key(config),
                "key_scheme": KEY_SCHEME,
                "config": config,
                "costs": {},
                "metrics": [{"name": m.name, "unit": m.unit, "better": m.better} for m in self.metrics],
            },
            "studies": [place],
            "datasets": [_DATASET],
            "evaluations": [
                {"key": RETURNED.key, "fingerprint": RETURNED.fingerprint, "condition": dict(RETURNED.condition)}
            ],
            "seed": seed,
            **dict.fromkeys(("weights_from", "resumed_from", "supersedes", "code_digest", "error_kind", "error")),
            "device": "elsewhere",
            "threads": 0,
            "exclusive": False,
            "execution": {},
            "environment": {"device": f"elsewhere ({self.source})"},
            "started": run.started,
            "ended": run.ended,
            "curve": [(RETURNED.split, name, step, *flagged(value)) for name, step, value in _ordered(run.curve)],
            "results": [(RETURNED.key, name, *flagged(run.results[name])) for name in sorted(found)],
            **{name: [] for name in ("measures", "samples", "artifacts")},
        }
        uid = hashlib.sha256(canonical_json(content).encode()).hexdigest()[:32]
        return json.dumps({**content, "uid": uid}, sort_keys=True, separators=(",", ":"))


_DATASET = {
    "name": RETURNED.dataset,
    "split": RETURNED.split,
    "fingerprint": RETURNED.fingerprint,
    "images": 0,
    "bytes": 0,
}


def _ordered(curve: Iterable[tuple[str, int, float]]) -> list[tuple[str, int, float]]:
    """Return a curve in the order of an export; of a step that was logged twice, the last."""
    last = {(name, step): value for name, step, value in curve}
    return [(name, step, value) for (name, step), value in sorted(last.items())]
