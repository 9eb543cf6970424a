"""Processes of this machine, as /proc tells of them."""

from collections import defaultdict
from pathlib import Path


def descendants(ancestor: int) -> list[int]:
    """Return the pids of all descendants of a process, in any group or session; an empty list if /proc is not there."""
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
