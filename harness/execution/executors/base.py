"""What an executor is: whoever carries out attempts, of which the driver needs no more than this.

An attempt's request lies in its folder. An executor sees to it that `run_attempt(folder)` is called, wherever, and says
when that is over; results are in the folder. `harness.testing.executors` holds every executor to this.
"""

import multiprocessing
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict

from harness.attempt.messages import State


@dataclass(frozen=True)
class Ended:
    """An attempt that is over. `error` if it left no result: a dead worker, a timeout."""

    folder: Path
    state: State | None = None  # lost, timeout, oom, failed; None if the result is in the folder
    error: str | None = None
    kind: str | None = None  # of the error, e.g. CRASHED
    again: bool = False  # its machine died or was taken away: the driver makes another attempt at the run


class Executor(Protocol):
    """What carries out up to `slots` attempts at a time. Leaving its context ends those that still run."""

    slots: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Begin the attempt whose request lies in `folder`; it is to end after `timeout_s` seconds at most.

        Raises OSError if no further attempt can be started.
        """

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some attempt ends, at most so long, and return those that ended, each once."""

    def kill(self) -> None:
        """End all attempts at once; they are lost."""


class EndsWhatRuns(ABC):
    """The context of an executor: when it is left, what still runs is ended, and waited for."""

    patience_s: ClassVar[float]
    """At most, with what is to end at once."""
    _running: dict[Any, Any]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        deadline = time.monotonic() + self.patience_s
        while self._running and time.monotonic() < deadline:
            self.wait(0.1)

    @abstractmethod
    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Return the attempts that ended, as `Executor.wait` does."""

    @abstractmethod
    def kill(self) -> None:
        """End all attempts at once, as `Executor.kill` does."""


@dataclass(frozen=True)
class Wanted:
    """What an executor is made from."""

    slots: int  # attempts at a time
    threads: int  # of each attempt
    libraries: Sequence[str] = ()  # that most attempts will import
    folder: Path = Path("results")  # of the results: an executor may keep files of its own there
    options: Mapping[str, Any] = field(default_factory=dict)  # of its kind, checked


class ExecutorOptions(BaseModel):
    """The options of a kind of executor, as `--executor-option` and a study give them. This one has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class ExecutorKind:
    """A kind of executor, by whose name it is chosen. Other packages add theirs by entry points `harness.executors`."""

    make: Callable[[Wanted], Executor]
    options: type[ExecutorOptions] = ExecutorOptions
    elsewhere: bool = False  # on machines that a cluster chooses: the cores and GPUs of this one say nothing
    libraries: tuple[str, ...] = ()  # that it needs
    extra: str | None = None  # which extra of the harness installs them


_NAMED = "attempt "


def attempt_name(folder: Path) -> str:
    """Return what a process is called while it makes the attempt in `folder`."""
    return f"{_NAMED}{folder.name}"


def in_worker() -> bool:
    """Return whether this process makes an attempt now."""
    return multiprocessing.current_process().name.startswith(_NAMED)
