"""What Linux says about processes; elsewhere nothing is known, and the guard makes do with process groups."""

import ctypes
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, so that none of them is lost from sight."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(ancestor: int) -> list[int]:
    """Return the pids of the processes below one, whatever their group or session; none where it cannot be known."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_bytes().rpartition(b")")[2].split()  # a program's name may hold anything
        except OSError:  # it has just ended
            continue
        children[int(words[1])].append(int(stat.parent.name))
    found = list(children[ancestor])
    for pid in found:  # which grows
        found += children[pid]
    return found


def memory_kills(cgroups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many processes of this one's cgroup the kernel has killed for memory; None where it does not say."""
    for counter in _counters(cgroups, mounted):
        try:
            lines = counter.read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        for name, _, count in (line.partition(" ") for line in lines):
            if name == "oom_kill" and count.isdigit():
                return int(count)
    return None


def _counters(cgroups: Path, mounted: Path) -> Iterator[Path]:
    """Yield where the count may be: of this process's cgroup, or of the root that a container sees in its place."""
    try:
        entries = [line.split(":", 2) for line in cgroups.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return
    places: tuple[Path, ...]
    for _, controllers, path in (entry for entry in entries if len(entry) == 3):
        if controllers == "":  # version 2
            places, file = (mounted, mounted / "unified"), "memory.events"
        elif "memory" in controllers.split(","):
            places, file = (mounted / "memory",), "memory.oom_control"
        else:
            continue
        for place in places:
            yield place / path.lstrip("/") / file
            yield place / file
