"""Own data lie in memory, decoded: what does not fit is refused before it is read."""

import math
import os
from contextlib import suppress
from pathlib import Path

from harness.base.errors import HarnessError

PART = 4
"""Images may take 1/4 of the memory: training holds them up to three times for a moment, and needs some itself."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of a container


def memory_bytes() -> float:
    """Return how much memory this machine, or the container that it is, has; infinity if it does not tell."""
    found = [math.inf]
    with suppress(AttributeError, ValueError, OSError):  # not on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(found)


def free_bytes() -> float:
    """Return how much memory programs can still take, as Linux estimates it; infinity elsewhere."""
    with suppress(OSError, ValueError, IndexError):
        facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(facts.get("MemAvailable", "").split()[0]) * 1024
    return math.inf


def check_fits(needed: int, what: str, todo: str) -> None:
    """Raise HarnessError if `needed` bytes are more than images may take. `todo` is told."""
    has, free = memory_bytes(), free_bytes()
    takes = f"{what} take {in_units(needed)} in memory"
    if needed * PART > has:
        raise HarnessError(f"{takes}, more than 1/{PART} of the {in_units(has)} that there are: {todo}")
    if needed > free:
        raise HarnessError(f"{takes}, of which {in_units(free)} are free: end other programs, or {todo}")


def in_units(size: float) -> str:
    """Return a number of bytes in words."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:,.0f} bytes"
