"""What the executors for clusters share: options, and the job that makes an attempt on another machine.

    driver ── cluster ── launch (by value) ── job (`python -m …executors.job`, from the snapshot) ── guard ── worker

The results' folder is on a file system that all machines share. In it each call of the driver has a folder of its own
below `jobs/`, by which its jobs know of the driver: a `beat` that changes as long as it lives, and `end` if all of them
are to end at once. The next driver of the same host sees by its `lock` that it has died, and ends what it has left. A
job whose driver is silent ends at a checkpoint, as one does that its cluster takes away.
"""

import os
import socket
import sys
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal

from pydantic import Field

from harness.base.files import atomic_write
from harness.base.locks import hold, is_held
from harness.execution.executors.base import Ended, EndsWhatRuns, ExecutorOptions
from harness.execution.executors.guard import Told
from harness.execution.executors.snapshot import Snapshots

FOLDER = "jobs"
BEAT_FILE, END_FILE, LOCK_FILE, HOST_FILE = "beat", "end", "lock", "host"
PREEMPTED = "preempted"
"""The kind of end of an attempt whose machine was taken away, after its last checkpoint."""
_EVERY_S = 2.0

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ClusterOptions(ExecutorOptions):
    """What each attempt needs of a cluster."""

    cpus: Annotated[int, Field(ge=1, strict=True)] | None = None  # by default as many as the attempt has threads
    gpus: Amount = 0
    memory_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class SlurmOptions(ClusterOptions):
    """What a job is submitted with. `local` and `debug` are submitit's executors without a cluster."""

    gpus: Annotated[int, Field(ge=0, strict=True)] = 0
    cluster: Literal["slurm", "local", "debug"] = "slurm"
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 60.0  # after which the cluster ends a job
    notice_s: Annotated[int, Field(ge=1, strict=True)] = 90  # before that, for the last checkpoint
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    array: Annotated[int, Field(ge=1, strict=True)] = 256  # jobs of an array that run at a time
    sbatch: dict[str, Any] = Field(default_factory=dict)  # other options of sbatch, by their names
    setup: list[str] = Field(default_factory=list)  # lines of shell before the job, e.g. `module load cuda`


class RayOptions(ClusterOptions):
    """What a task asks of Ray. A fraction of a GPU lets several attempts share it."""

    address: str | None = None  # of a cluster that runs; by default $RAY_ADDRESS, or one on this machine alone
    shared: Annotated[bool, Field(strict=True)] = True  # all machines see the results' folder; else files go as bytes
    resources: dict[str, Amount] = Field(default_factory=dict)


class Jobs:
    """How a driver starts jobs elsewhere, and how they know of it."""

    def __init__(self, results: Path, threads: int) -> None:
        results = results.resolve()
        self.folder = results / FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self._snapshots = Snapshots(results / "code")
        self._threads = threads
        self._beats, self._beaten = 0, 0.0
        self.environment = {
            **{name: value for name, value in os.environ.items() if name.startswith("HARNESS_")},
            "PYTHONPATH": os.pathsep.join([str(self._snapshots.harness()), *_python_path()]),
            "PYTHONSAFEPATH": "1",  # the current folder may be a checkout, and goes before all others
            "PYTHONDONTWRITEBYTECODE": "",  # the snapshot is compiled once
        }
        self._lock = ExitStack()
        self._lock.enter_context(hold(self.folder / LOCK_FILE))
        atomic_write(self.folder / HOST_FILE, socket.gethostname())
        self.beat()

    def close(self) -> None:
        """Have no jobs any more."""
        self._lock.close()

    def command(self, folder: Path, timeout_s: float | None) -> list[str]:
        """Return the command that makes the attempt in `folder`, whose plug-ins are in the snapshot from now on."""
        self._snapshots.take_plugins(folder)
        limit = [] if timeout_s is None else ["--timeout", str(timeout_s)]
        module = "harness.execution.executors.job"
        return [sys.executable, "-m", module, str(folder), str(self.folder), "--threads", str(self._threads), *limit]

    @property
    def code(self) -> Path:
        """The folder of the snapshot of the harness."""
        return self._snapshots.harness()

    def beat(self) -> None:
        """Show the jobs that their driver lives, every few seconds."""
        if time.monotonic() - self._beaten >= _EVERY_S or not self._beats:
            self._beats, self._beaten = self._beats + 1, time.monotonic()
            with suppress(OSError):  # of a full disk: it will have room again, or the jobs end at their checkpoints
                atomic_write(self.folder / BEAT_FILE, str(self._beats))

    def end(self) -> None:
        """Let all jobs end at once, also those that have not begun."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.end_file.touch()

    @property
    def ending(self) -> bool:
        """Whether all jobs are to end at once."""
        return self.end_file.exists()

    @property
    def end_file(self) -> Path:
        """What is there if all jobs are to end at once."""
        return self.folder / END_FILE


class ClusterExecutor(EndsWhatRuns):
    """What both executors for clusters have: the folder by which their jobs know of this driver."""

    patience_s = 60.0

    def __init__(self, results: Path, slots: int, threads: int) -> None:
        self.slots = slots
        self._jobs = Jobs(results, threads)
        self._running: dict[Any, Any] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._jobs.close()


def end_orphans(results: Path) -> None:
    """End the jobs of drivers of this host that have died, also those that wait in a queue.

    Those of other hosts, whose locks may not be seen here, notice it themselves.
    """
    for folder in (results / FOLDER).glob("*"):
        with suppress(OSError):
            here = (folder / HOST_FILE).read_text(encoding="utf-8") == socket.gethostname()
            if here and not is_held(folder / LOCK_FILE):
                (folder / END_FILE).touch()


def ended(folder: Path, said: str, lost: str, *, again: bool) -> Ended:
    """Return how an attempt ended, by what its job has `said`: nothing if that was killed, and it is `lost`."""
    if not said.strip():
        return Ended(folder, "lost", lost, again=again)
    told = Told.from_json(said.strip().splitlines()[-1].encode())
    return Ended(folder, told.state, told.error, told.kind, again=told.kind == PREEMPTED)


def _python_path() -> list[str]:
    return [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
