"""Own data lie in memory, decoded: what does not fit is refused before it is read."""

import math
import os
from contextlib import suppress
from pathlib import Path

from harness.spec.errors import HarnessError

PART = 4
"""Images may take 1/4 of the memory: training holds them up to three times for a moment, and needs some itself."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of a container


def memory_bytes() -> float:
    """Return how much memory this machine, or the container that it is, has; infinity where it does not tell."""
    found = [math.inf]
    with suppress(AttributeError, ValueError, OSError):  # not on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(found)


def check_fits(needed: int, what: str, todo: str) -> None:
    """Raise HarnessError where `needed` bytes are more than images may take. `todo` is told."""
    has = memory_bytes()
    if needed * PART > has:
        raise HarnessError(
            f"{what} take {_gib(needed)} in memory, more than 1/{PART} of the {_gib(has)} that there are: {todo}"
        )


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
