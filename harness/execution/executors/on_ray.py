"""The executor for Ray: each attempt is a task of Ray Core, with CPUs, a share of a GPU, memory and other resources.

Ray never retries a task by itself (`max_retries=0`): an attempt is one try. If a task dies with its node, its attempt
is lost, and the driver makes the next attempt at the run, which resumes from the last checkpoint on some other node.

If the nodes do not share the results' folder (`shared: false`), an attempt's files travel as bytes: what it needs with
the task, what it writes through an actor beside the driver, and all that it leaves as the task's result.
"""

import logging
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.attempt.messages import STOP_FILE
from harness.base.errors import HarnessError, in_a_line
from harness.execution.executors import launch
from harness.execution.executors.base import Ended, attempt_name
from harness.execution.executors.cluster import ClusterExecutor, RayOptions, ended
from harness.execution.executors.parcel import files_below, parcel_of, take_files

_log = logging.getLogger(__name__)
_GB = 1 << 30
_RELAY_S = 0.5


class RayExecutor(ClusterExecutor):
    """Attempts as tasks, up to `slots` of them waiting or running."""

    def __init__(self, slots: int, threads: int, results: Path, options: RayOptions) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # tasks without a GPU see what there is
        import ray

        super().__init__(results, slots, threads)
        self._results = results.resolve()
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
        )(launch.launch if options.shared else launch.launch_by_ray)
        self._mail: _Mail | None = None if options.shared else _Mail(ray, self._results, self._jobs.code)

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
        if self._mail is None:
            places = str(Path.cwd()), str(self._jobs.end_file)
            self._running[task.remote(command, self._jobs.environment, *places)] = folder
            return
        jobs = self._jobs.folder.relative_to(self._results).as_posix()
        launched = jobs, command, self._jobs.environment, str(Path.cwd())
        self._running[task.remote(*self._mail.sent(folder.resolve()), *launched)] = folder

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some task ends, at most so long, and return the attempts of those that ended."""
        self._jobs.beat()
        if not self._running:
            time.sleep(timeout_s)
            return []
        if self._mail is not None:
            self._mail.relay(self._running.values(), ending=self._jobs.ending)
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        if ready:  # and what else is
            ready, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [self._ended(task) for task in ready]

    def _ended(self, task: Any) -> Ended:
        folder = self._running.pop(task)
        errors = self._ray.exceptions
        killed = "its task of Ray was killed"
        try:
            said = self._ray.get(task)
            if self._mail is not None:
                said, files = said
                take_files(folder, files, final=bool(said))
            return ended(folder, said, killed, again=not self._jobs.ending)
        except errors.OutOfMemoryError as error:
            return Ended(folder, "oom", in_a_line(error))
        except errors.RayTaskError as error:
            return Ended(folder, "lost", f"its task of Ray failed: {in_a_line(error)}")
        except errors.RayError as error:  # a worker, its raylet or its node died
            return Ended(folder, "lost", f"{killed} ({type(error).__name__})", again=not self._jobs.ending)
        except (OSError, ValueError) as error:
            return Ended(folder, "lost", f"its files could not be written here: {in_a_line(error)}")

    def kill(self) -> None:
        """End all tasks at once, also those that wait; their attempts are lost."""
        if not self._running:
            return
        self._jobs.end()


class _Mail:
    """How attempts' files come and go, and how a driver asks something of its attempts, without a shared folder."""

    def __init__(self, ray: Any, results: Path, code: Path) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._ray, self._results = ray, results
        self._mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(launch.Mailbox).remote()
        self._code = ray.put(files_below(code, results))  # once, for all attempts
        self._relayed = 0.0

    def sent(self, folder: Path) -> tuple[Any, ...]:
        """Return the arguments of a task that makes the attempt in `folder`, as far as they are about its files."""
        own = folder.relative_to(self._results).as_posix()
        return self._mailbox, parcel_of(self._results, folder), self._code, str(self._results), own

    def relay(self, folders: Iterable[Path], *, ending: bool) -> None:
        """Ask attempts to stop that are to, and write what has come of attempts that run."""
        if not ending and time.monotonic() - self._relayed < _RELAY_S:
            return
        self._relayed = time.monotonic()
        running = {folder.name: folder for folder in folders}
        stops = [uid for uid, folder in running.items() if (folder / STOP_FILE).exists()]
        try:
            came = self._ray.get(self._mailbox.relay.remote(stops, ending))
            for uid in came.keys() & running.keys():
                take_files(running[uid], came[uid])
        except (self._ray.exceptions.RayError, OSError, ValueError) as error:  # what is left at the end is what counts
            _log.warning("nothing is heard of attempts that run: %s", in_a_line(error))


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
