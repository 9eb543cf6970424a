"""Runs that a study names, such as a trained denoiser before a classifier: looked up by whoever opened the results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from harness.base.errors import HarnessError


class FoundRun(NamedTuple):
    """A run whose weights are stored."""

    trial: str  # its trial's key
    seed: int
    weights: str  # the SHA-256 of the file
    file: str


_find: ContextVar[Callable[[str], FoundRun] | None] = ContextVar("find", default=None)


@contextmanager
def runs_found_by(find: Callable[[str], FoundRun]) -> Iterator[None]:
    """Within this, a study may name runs as STUDY:TRIAL:SEED; `find` raises HarnessError for one that is not done."""
    token = _find.set(find)
    try:
        yield
    finally:
        _find.reset(token)


def find_run(name: str) -> FoundRun:
    """Return a run by its name. Raises HarnessError if it is not done, or if nobody opened any results."""
    find = _find.get()
    if find is None:
        raise HarnessError("no results are open")
    return find(name)
