"""What must hold of what is stored, whoever wrote it: asked of published lines before they are taken in, and by verify.

Tables and keys say nothing of these: a time by which attempts are ordered, names that become files' names, and what
attempts say of each other, by which one of them counts.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import PurePosixPath, PureWindowsPath

from harness.base.keys import LONGEST_STUDY_NAME, STUDY_NAME

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PARTS = ("data", "model", "compressors", "protocol", "arguments")
LARGEST = 2**63 - 1
"""The largest whole number that a table can hold."""

LARGEST_SEED = 2**32 - 1
LINKS = ("weights_from", "resumed_from", "supersedes")
"""The columns by which an attempt names another."""


def is_time(text: str) -> bool:
    """Return whether a text is a time in the one form that is ever written, so that texts sort as moments do."""
    try:
        return _TIME.fullmatch(text) is not None and bool(datetime.fromisoformat(text))
    except ValueError:  # the 31st of February
        return False


def end_fault(kind: str, state: str, started: str, ended: str, *, found_none: bool) -> str | None:
    """Return why an attempt cannot have ended so, or None: before it began, or well and without a result."""
    if ended < started:
        return f"it ended ({ended}) before it started ({started})"
    if state == "done" and kind in {"train", "evaluate"} and found_none:
        return "it ended done, and has no results"
    return None


def is_study_name(text: str) -> bool:
    """Return whether a study file may have this name."""
    return len(text) <= LONGEST_STUDY_NAME and re.fullmatch(STUDY_NAME, text) is not None


def is_absolute(path: str) -> bool:
    """Return whether a path begins at a root or a drive, on whatever system."""
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()


def stays_in_its_folder(path: str) -> bool:
    """Return whether an artifact's path names a file below its attempt's folder, on whatever system."""
    parts = {*PurePosixPath(path).parts, *PureWindowsPath(path).parts}
    leaves = is_absolute(path) or PureWindowsPath(path).drive or ".." in parts
    return bool(parts) and not leaves and _CONTROL.search(path) is None


def config_fault(config: object) -> str | None:
    """Return why a configuration has not the form of one, or None: its parts are mappings, and kinds are texts."""
    if not isinstance(config, dict):
        return "is not a mapping"
    parts = {name: config[name] for name in ("task", *_PARTS) if name in config}
    if wrong := [name for name, part in parts.items() if not isinstance(part, dict)]:
        return f"has a '{wrong[0]}' that is not a mapping"
    kinds = {"task": parts.get("task", {})}
    kinds |= {"model": parts["model"]} if "model" in parts else {}
    kinds |= {f"compressors.{site}": options for site, options in parts.get("compressors", {}).items()}
    if wrong := [name for name, part in kinds.items() if not _has_kind(part)]:
        return f"has no kind of '{wrong[0]}'"
    return None


def _has_kind(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("kind"), str)


def link_faults(conn: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield the uid of each attempt that names another in a way that cannot be, and what is wrong.

    A name that leads to no attempt of the store is not a fault: that attempt was never published.
    """
    for column in LINKS:
        named: dict[str, str] = {}
        rows = conn.execute(
            f"""SELECT a.uid, o.uid, o.run_id = a.run_id FROM attempt a JOIN attempt o ON o.uid = a.{column}
            ORDER BY a.uid"""  # noqa: S608 - a name of ours
        )
        for uid, other, same_run in rows:
            if uid == other:
                yield uid, f"{column} names itself"
            elif not same_run:
                yield uid, f"{column} names {other}, which is of another run"
            else:
                named[uid] = other
        for uid in _in_circles(named):
            yield uid, f"{column} names {named[uid]}, and leads from there back to this attempt"


def _in_circles(named: Mapping[str, str]) -> list[str]:
    """Return those from which one comes back to where one began by following what each names."""
    circles: list[str] = []
    seen: set[str] = set()
    for start in named:
        way: dict[str, None] = {}
        at: str | None = start
        while at is not None and at not in seen:
            seen.add(at)
            way[at] = None
            at = named.get(at)
        if at in way:  # a new circle, which this way has run into
            steps = list(way)
            circles += steps[steps.index(str(at)) :]
    return sorted(circles)
