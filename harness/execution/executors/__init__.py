"""Who carries out attempts: worker processes of this machine, the driver's own process, jobs of Slurm, tasks of Ray."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.base.checks import FieldError, validate
from harness.base.errors import HarnessError, did_you_mean
from harness.base.extras import needs
from harness.execution.executors.base import (
    Ended,
    Executor,
    ExecutorKind,
    ExecutorOptions,
    Wanted,
    in_worker,
)
from harness.execution.executors.cluster import RayOptions, SlurmOptions, end_orphans
from harness.plugins.plugin import entry_points, load_ours

__all__ = [
    "EXECUTORS",
    "Ended",
    "Executor",
    "ExecutorKind",
    "ExecutorOptions",
    "Wanted",
    "check_executor",
    "end_orphans",
    "executor_kind",
    "in_worker",
    "make_executor",
]


def _local(wanted: Wanted) -> Executor:
    from harness.execution.executors.local import LocalExecutor

    return LocalExecutor(wanted.slots, wanted.threads, wanted.libraries)


def _in_process(_: Wanted) -> Executor:
    from harness.execution.executors.in_process import InProcessExecutor

    return InProcessExecutor()


def _slurm(wanted: Wanted) -> Executor:
    from harness.execution.executors.slurm import SlurmExecutor

    return SlurmExecutor(wanted.slots, wanted.threads, wanted.folder, SlurmOptions(**wanted.options))


def _ray(wanted: Wanted) -> Executor:
    from harness.execution.executors.on_ray import RayExecutor

    return RayExecutor(wanted.slots, wanted.threads, wanted.folder, RayOptions(**wanted.options))


EXECUTORS: Mapping[str, ExecutorKind] = {
    "local": ExecutorKind(_local),
    "in-process": ExecutorKind(_in_process),
    "slurm": ExecutorKind(_slurm, SlurmOptions, elsewhere=True, libraries=("submitit",), extra="slurm"),
    "ray": ExecutorKind(_ray, RayOptions, elsewhere=True, libraries=("ray",), extra="ray"),
}
"""By the name that `--executor` takes; what other packages add, `executor_kind` knows."""

_GROUP = "harness.executors"


def executor_kind(name: str) -> ExecutorKind:
    """Return the kind of executor of a name: ours, or one that an installed package adds.

    Raises HarnessError for an unknown one.
    """
    if name in EXECUTORS:
        return EXECUTORS[name]
    others = entry_points(_GROUP)
    if name not in others:
        raise HarnessError(f"unknown executor '{name}'{did_you_mean(name, [*EXECUTORS, *others])}")
    found = load_ours(others[name])
    if not isinstance(found, ExecutorKind):
        raise HarnessError(f"the executor '{name}' of another package ({others[name]}) is not an ExecutorKind")
    return found


def check_executor(
    name: str, slots: int, timeout_s: float | None, options: Mapping[str, Any] | None = None
) -> ExecutorOptions:
    """Return the checked options of an executor.

    Raises HarnessError for an unknown executor, whose library is missing, or that cannot do what is asked.
    """
    kind = executor_kind(name)
    if name == "in-process" and slots > 1:
        raise HarnessError("the executor 'in-process' makes one attempt at a time: leave --jobs and --per-device out")
    if name == "in-process" and timeout_s is not None:
        raise HarnessError("the executor 'in-process' keeps no time limit: leave --timeout out")
    try:
        checked = validate(kind.options, dict(options or {}))
    except FieldError as error:
        raise HarnessError(f"the executor '{name}': {error.message}") from None
    needs(*kind.libraries, extra=kind.extra)
    return checked


def make_executor(
    name: str,
    slots: int,
    threads: int,
    libraries: Sequence[str],
    folder: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Executor:
    """Return an executor by its name. `folder` is that of the results, by default of the current folder."""
    return executor_kind(name).make(Wanted(slots, threads, libraries, folder or Path("results"), options or {}))
