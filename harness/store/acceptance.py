"""Edits that a person accepts as changing nothing: a trial's results count for the trial that the edit made of it.

A key holds digests of code and of inputs, so that an edit of either makes another trial, which is to be run. Where the
edit changes no number, a person may say so, with her name and the reason. The results keep their own key, and whatever
shows them says by whose word they count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import category

from harness.store.records import AttemptRecord, Snapshot

_PARTS = ("task", "model")
LONGEST = {"author": 200, "reason": 2000}
"""What a person says of an acceptance, and how many characters it may have."""


def said_fault(name: str, text: str) -> str | None:
    """Return why a text cannot be the author or the reason of an acceptance, or None: it is one line that can be read.

    Tables print it: what is empty says nothing, and line ends and control characters would change the table.
    """
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST[name]:
        return f"has more than {LONGEST[name]} characters"
    if any(not (char.isprintable() or category(char) == "Zs") for char in text):
        return "holds line ends or other characters that cannot be printed"
    return None


def but_for_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without the digests of a person's code, and without inputs."""
    left = {name: value for name, value in config.items() if name != "inputs"}
    for part in _PARTS:
        if isinstance(left.get(part), Mapping):
            left[part] = _without_digest(left[part])
    if isinstance(left.get("compressors"), Mapping):
        left["compressors"] = {site: _without_digest(options) for site, options in left["compressors"].items()}
    return left


def _without_digest(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "code"}


@dataclass(frozen=True)
class Acceptable:
    """A stored trial whose accepted runs may count for another, and at which seeds the other has none."""

    old_key: str
    seeds: tuple[int, ...]


def acceptable(found: Snapshot, key: str, config: Mapping[str, Any], seeds: Sequence[int]) -> Acceptable | None:
    """Return the stored trial that differs from a trial by code and inputs alone, of several the one that ran last.

    None if there is none with a run at a seed of `seeds` at which the trial has no run that counts for it.
    """
    missing = [seed for seed in seeds if seed not in found.runs(key)]
    wanted = but_for_code(config)
    candidates = []
    for old in found.trials.values():
        if old.key != key and but_for_code(old.config) == wanted:
            runs = {seed: run for seed, run in found.runs(old.key).items() if seed in missing}
            if runs:
                candidates.append((_newest(runs), Acceptable(old.key, tuple(sorted(runs)))))
    return max(candidates, key=lambda pair: pair[0])[1] if candidates else None


def _newest(runs: Mapping[int, AttemptRecord]) -> tuple[str, str]:
    return max((run.started, run.uid) for run in runs.values())
