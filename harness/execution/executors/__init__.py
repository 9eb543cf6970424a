"""Who carries out attempts: worker processes of this machine, or, to debug one, the driver's own process."""

from collections.abc import Mapping, Sequence

from harness.base.errors import HarnessError, did_you_mean
from harness.execution.executors.base import Ended, Executor, MakeExecutor, in_worker

__all__ = ["EXECUTORS", "Ended", "Executor", "MakeExecutor", "check_executor", "in_worker", "make_executor"]


def _local(slots: int, threads: int, libraries: Sequence[str]) -> Executor:
    from harness.execution.executors.local import LocalExecutor

    return LocalExecutor(slots, threads, libraries)


def _in_process(slots: int, threads: int, libraries: Sequence[str]) -> Executor:  # noqa: ARG001 - as every executor
    from harness.execution.executors.in_process import InProcessExecutor

    return InProcessExecutor()


EXECUTORS: Mapping[str, MakeExecutor] = {"local": _local, "in-process": _in_process}
"""By the name that `--executor` takes."""


def check_executor(name: str, slots: int, timeout_s: float | None) -> None:
    """Raise HarnessError for an executor that there is not, or that cannot do what is asked of it."""
    if name not in EXECUTORS:
        raise HarnessError(f"unknown executor '{name}'{did_you_mean(name, EXECUTORS)}")
    if name == "in-process" and slots > 1:
        raise HarnessError("the executor 'in-process' makes one attempt at a time: leave --jobs and --per-device out")
    if name == "in-process" and timeout_s is not None:
        raise HarnessError("the executor 'in-process' keeps no time limit: leave --timeout out")


def make_executor(name: str, slots: int, threads: int, libraries: Sequence[str]) -> Executor:
    """Return an executor by its name."""
    return EXECUTORS[name](slots, threads, libraries)
