"""Several executors as one: each attempt is made by the one that its trial asks for, as `Options.where` says it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.execution.executors.base import Ended, Executor


class Several:
    """Executors by a word for each: those that are given, and others that are made when they are first asked for."""

    def __init__(self, executors: Mapping[str, Executor], make: Callable[[str], Executor]) -> None:
        self._made = dict(executors)
        self._make = make
        self._contexts = ExitStack()
        self._where: dict[Path, str] = {}

    @property
    def slots(self) -> int:
        """Attempts at a time, by all of them together."""
        return sum(executor.slots for executor in self._made.values())

    def __enter__(self) -> Self:
        for executor in self._made.values():
            self._contexts.enter_context(executor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._contexts.__exit__(kind, error, trace)

    def has_room(self, where: str) -> bool:
        """Return whether the executor of a word can begin another attempt now; it is made unless it is there."""
        if where not in self._made:
            self._made[where] = self._contexts.enter_context(self._make(where))
        return list(self._where.values()).count(where) < self._made[where].slots

    def start(self, folder: Path, timeout_s: float | None, where: str) -> None:
        """Begin an attempt by the executor of a word. Raises OSError if no further attempt can be started."""
        self._made[where].start(folder, timeout_s)
        self._where[folder] = where

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some attempt ends, at most so long, and return those that ended, each once."""
        busy = [self._made[where] for where in dict.fromkeys(self._where.values())] or [*self._made.values()][:1]
        ended = [one for executor in busy for one in executor.wait(timeout_s / len(busy))]
        for one in ended:
            self._where.pop(one.folder, None)
        return ended

    def kill(self) -> None:
        """End all attempts at once; they are lost."""
        for executor in self._made.values():
            executor.kill()
