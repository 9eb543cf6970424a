"""The executor for Ray: each attempt is a task of Ray Core, with CPUs, a share of a GPU, memory and other resources.

Ray never retries a task by itself (`max_retries=0`): an attempt is one try. If a task dies with its node, its attempt
is lost, and the driver makes the next attempt at the run, which resumes from the last checkpoint on some other node.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.base.errors import HarnessError, in_a_line
from harness.execution.executors import launch
from harness.execution.executors.base import Ended, attempt_name
from harness.execution.executors.cluster import ClusterExecutor, RayOptions, ended

_GB = 1 << 30


class RayExecutor(ClusterExecutor):
    """Attempts as tasks, up to `slots` of them waiting or running."""

    def __init__(self, slots: int, threads: int, results: Path, options: RayOptions) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks without a GPU see what there is
        import ray

        super().__init__(results, slots, threads)
        self._ray = ray
        self._connected = not ray.is_initialized()
        if self._connected:
            _connect(ray, options.address)
        ray.cloudpickle.register_pickle_by_value(launch)
        memory = {} if options.memory_gb is None else {"memory": int(options.memory_gb * _GB)}
        self._task = ray.remote(
            max_retries=0,
            num_cpus=options.cpus or threads,
            num_gpus=options.gpus,
            resources=dict(options.resources),
            **memory,
        )(launch.launch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._connected:
            self._ray.shutdown()

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Give the attempt in `folder` to Ray, which begins it when some node has what it needs."""
        command = self._jobs.command(folder, timeout_s)
        task = self._task.options(name=attempt_name(folder))
        places = str(Path.cwd()), str(self._jobs.end_file)
        self._running[task.remote(command, self._jobs.environment, *places)] = folder

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some task ends, at most so long, and return the attempts of those that ended."""
        self._jobs.beat()
        if not self._running:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        if ready:  # and what else is
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._ended(task) for task in ready]

    def _ended(self, task: Any) -> Ended:
        folder = self._running.pop(task)
        errors = self._ray.exceptions
        killed = "its task of Ray was killed"
        try:
            return ended(folder, self._ray.get(task), killed, again=not self._jobs.ending)
        except errors.OutOfMemoryError as error:
            return Ended(folder, "oom", in_a_line(error))
        except errors.RayTaskError as error:
            return Ended(folder, "lost", f"its task of Ray failed: {in_a_line(error)}")
        except errors.RayError as error:  # a worker, its raylet or its node died
            return Ended(folder, "lost", f"{killed} ({type(error).__name__})", again=not self._jobs.ending)

    def kill(self) -> None:
        """End all tasks at once, also those that wait; their attempts are lost."""
        if not self._running:
            return
        self._jobs.end()


def _connect(ray: Any, address: str | None) -> None:
    """Connect to a cluster. Raises HarnessError if there is none at the address."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except ValueError as error:  # which a cluster that runs refuses
        if "include_dashboard" not in str(error):
            raise HarnessError(f"Ray: {in_a_line(error)}") from error
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        raise HarnessError(f"there is no Ray cluster at {address or os.environ.get('RAY_ADDRESS')}") from error
