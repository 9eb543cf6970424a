"""Where a session's attempts come from: a list, or a list that several drivers share."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.execution.jobs import Job

_log = logging.getLogger(__name__)


class Feed(Protocol):
    """Where a session's attempts come from while others of it run."""

    @property
    def expected(self) -> int:
        """How many attempts there will be, as far as is known."""

    @property
    def exhausted(self) -> bool:
        """Whether all attempts have been taken, as far as is known."""

    def take(self) -> Job | None:
        """Return the next attempt to make; None if there is none now. If nothing runs either, all is done."""

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:
        """Look at how far an attempt is; return whether to end it at a checkpoint, as pruned."""

    def ended(self, job: Job, state: str) -> None:
        """Take note of how an attempt ended, which is in the store by now."""


@dataclass
class Listed:
    """A feed of attempts that are known beforehand; `before` were shown by an earlier session of the same call."""

    jobs: Sequence[Job]
    before: int = 0
    taken: int = 0

    @property
    def expected(self) -> int:
        """How many attempts there will have been."""
        return self.before + len(self.jobs)

    @property
    def exhausted(self) -> bool:
        """Whether each was taken."""
        return self.taken >= len(self.jobs)

    def take(self) -> Job | None:
        """Return the next attempt."""
        self.taken += 1
        return self.jobs[self.taken - 1] if self.taken <= len(self.jobs) else None

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:  # noqa: ARG002 - part of a feed
        """Prune nothing."""
        return False

    def ended(self, job: Job, state: str) -> None:
        """Take no note."""


_LOOK_EVERY_S = 1.0
Run = tuple[str, int]
"""A run: its trial's key and its seed."""


@dataclass
class Shared:
    """A feed of attempts that other drivers of the store may make as well: each is made by whoever begins it first.

    What others have is waited for: they may die, or be stopped, and leave it.
    """

    jobs: list[Job]
    left_by_others: Callable[[Mapping[Run, Job]], Mapping[Run, Job | None]]
    """Of the runs that others have: those that they have no longer, with the attempt to make, or None if it is done."""
    asked_again: Callable[[Callable[[str], bool], Collection[Run]], Sequence[Job]]
    """Attempts at runs whose label is meant, but for some that are under way."""
    limit: int | None = None
    before: int = 0  # attempts that an earlier session of the same call made
    begun: int = 0
    others: dict[Run, Job] = field(default_factory=dict)
    _looked: float = field(default_factory=time.monotonic)
    _said: bool = False

    @property
    def expected(self) -> int:
        """How many attempts this driver will have made, if the others make none of them."""
        return self.before + self._bounded(self.begun + len(self.jobs))

    def _bounded(self, number: int) -> int:
        return number if self.limit is None else min(number, self.limit)

    @property
    def _full(self) -> bool:
        return self.limit is not None and self.begun >= self.limit

    @property
    def exhausted(self) -> bool:
        """Whether each was taken, by this driver or by another that has ended it."""
        return self._full or not (self.jobs or self.others)

    @property
    def waits(self) -> bool:
        """Whether others have runs that they may leave."""
        return bool(self.others) and not self._full

    def take(self, fits: Callable[[Job], bool] = lambda _: True) -> Job | None:
        """Return the next attempt that fits, i.e. whose executor has room; None if there is none."""
        if self._full:
            return None
        if not self.jobs and self.others:
            self._look()
        for number, job in enumerate(self.jobs):
            if fits(job):
                self.begun += 1
                return self.jobs.pop(number)
        return None

    def _look(self) -> None:
        """Look, now and then, at what has become of the runs that others have."""
        if not self._said:
            self._said = True
            _log.warning("%d of these runs are being made by other drivers: waiting for them", len(self.others))
        if time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        for run, job in self.left_by_others(self.others).items():
            del self.others[run]
            if job is not None:
                self.jobs.append(job)

    def begun_by_another(self, job: Job) -> None:
        """Take note that another driver has begun the attempt that was taken last."""
        self.begun -= job.tries == 1  # else it was not taken from here
        self.others[job.run] = job

    def skip(self, matches: Callable[[str], bool]) -> list[str]:
        """Make no attempt at the runs whose label matches; return the labels."""
        skipped = [job.request.label for job in self.jobs if matches(job.request.label)]
        self.jobs = [job for job in self.jobs if not matches(job.request.label)]
        return skipped

    def retry(self, matches: Callable[[str], bool], running: Collection[Run]) -> None:
        """Make attempts at the runs whose label matches, after all others, unless they are under way."""
        self.jobs += self.asked_again(matches, {*running, *self.others, *(job.run for job in self.jobs)})

    def reached(self, job: Job, progress: Mapping[str, Any]) -> bool:  # noqa: ARG002 - part of a feed
        """Prune nothing."""
        return False

    def ended(self, job: Job, state: str) -> None:
        """Take no note."""
