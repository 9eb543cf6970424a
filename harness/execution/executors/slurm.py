"""The executor for Slurm: each attempt is a job, submitted through submitit; what is begun together is an array.

A job that its cluster takes away, by a signal and some seconds for a checkpoint, ends its attempt as interrupted; one
that is killed, or whose node dies, leaves it lost. The driver then submits the next attempt at the run, which resumes
from the checkpoint. So jobs are submitted as not to be requeued: an attempt is one try, and the store has each of them.
"""

import logging
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.base.errors import HarnessError, in_a_line
from harness.execution.executors import launch
from harness.execution.executors.base import Ended
from harness.execution.executors.cluster import ClusterExecutor, SlurmOptions, ended

_log = logging.getLogger(__name__)
_POLL_S = 0.05
_NOT_OURS = {"TIMEOUT": "timeout", "OUT_OF_MEMORY": "oom"}
"""What Slurm calls the ends of a job that are its attempt's own doing, and what we call them."""


class SlurmExecutor(ClusterExecutor):
    """Attempts as jobs, up to `slots` of them in the queue or running."""

    def __init__(self, slots: int, threads: int, results: Path, options: SlurmOptions) -> None:
        import cloudpickle
        import submitit

        if options.cluster == "slurm" and shutil.which("sbatch") is None:
            raise HarnessError("sbatch was not found: run this on a machine that can submit jobs to Slurm")
        cloudpickle.register_pickle_by_value(launch)
        super().__init__(results, slots, threads)
        self._options = options
        self._executor: Any = submitit.AutoExecutor(self._jobs.folder / "submitit", cluster=options.cluster)
        self._executor.update_parameters(**_parameters(options, threads))
        self._waiting: list[tuple[Path, list[str]]] = []  # to be submitted together

    def start(self, folder: Path, timeout_s: float | None) -> None:
        """Take note of the attempt in `folder`: `wait` submits what was noted, as one array if it is several."""
        self._waiting.append((folder, self._jobs.command(folder, timeout_s)))

    def wait(self, timeout_s: float) -> Sequence[Ended]:
        """Wait until some job ends, at most so long, and return the attempts of those that ended."""
        if ends := self._submit():
            return ends
        deadline = time.monotonic() + timeout_s
        while True:
            self._jobs.beat()
            if ends := [self._ended(folder) for folder, job in list(self._running.items()) if job.done()]:
                return ends
            if time.monotonic() >= deadline:
                return []
            time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))

    def _submit(self) -> list[Ended]:
        """Submit what was noted; return what could not be: the queue is full, say."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        if self._jobs.ending:
            return [Ended(folder, "lost", "it was ended before it was submitted") for folder, _ in waiting]
        places = str(Path.cwd()), str(self._jobs.end_file)
        try:
            with self._executor.batch():
                jobs = [
                    self._executor.submit(launch.launch, each, self._jobs.environment, *places) for _, each in waiting
                ]
        except Exception as error:  # noqa: BLE001 - whatever sbatch says
            words = f"its job could not be submitted: {in_a_line(error)}"
            return [Ended(folder, "lost", words) for folder, _ in waiting]
        self._running.update({folder: job for (folder, _), job in zip(waiting, jobs, strict=True)})
        return []

    def _ended(self, folder: Path) -> Ended:
        job = self._running.pop(folder)
        if self._options.cluster == "debug" or job.paths.result_pickle.exists():
            try:
                said = job.result()
            except Exception as error:  # noqa: BLE001 - of whatever went wrong in the job, outside the attempt
                return Ended(folder, "lost", f"its job {job.job_id} failed: {in_a_line(error)}")
            return ended(folder, said, f"its job {job.job_id} was killed", again=not self._jobs.ending)
        state = str(job.state).partition(" ")[0]
        if state in _NOT_OURS:
            words = f"Slurm ended its job {job.job_id}: {state}"
            return Ended(folder, _NOT_OURS[state], words)  # type: ignore[arg-type]
        return Ended(folder, "lost", f"its job {job.job_id} was killed ({state})", again=not self._jobs.ending)

    def kill(self) -> None:
        """End all jobs at once, also those that wait in the queue; their attempts are lost."""
        if not (self._running or self._waiting):
            return
        self._jobs.end()
        if self._options.cluster == "slurm":
            for job in self._running.values():
                try:
                    job.cancel(check=False)
                except OSError as error:
                    _log.warning("job %s cannot be cancelled (%s)", job.job_id, error)


def _parameters(options: SlurmOptions, threads: int) -> dict[str, Any]:
    """Return the parameters that submitit takes for each job."""
    given = {
        "name": "harness",
        "timeout_min": math.ceil(options.minutes),
        "cpus_per_task": options.cpus or threads,
        "gpus_per_node": options.gpus or None,
        "mem_gb": options.memory_gb,
    }
    of_slurm = {
        "slurm_partition": options.partition,
        "slurm_account": options.account,
        "slurm_qos": options.qos,
        "slurm_constraint": options.constraint,
        "slurm_signal_delay_s": options.notice_s,
        "slurm_array_parallelism": options.array,
        "slurm_setup": options.setup or None,
        "slurm_additional_parameters": {"no-requeue": True, **options.sbatch},
    }
    known = {**given, **of_slurm}
    return {name: value for name, value in known.items() if value is not None}
