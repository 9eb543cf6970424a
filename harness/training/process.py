"""The worker process around an attempt: threads, determinism, memory, and knowing when to stop."""

import ctypes
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from harness.attempt.messages import STOP_FILE, Execution
from harness.layers.kernels import use_kernels

_POLL_S = 0.2


def configure(execution: Execution, rank: int = 0) -> torch.device:
    """Fix threads, kernels and determinism for this process, and return its device.

    Of several processes each has a GPU of its own, by its `rank`.
    """
    torch.set_num_threads(execution.threads_each)
    use_kernels(execution.kernels)
    _keep_memory()
    _set_deterministic(execution)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a seventh of the time
    device = torch.device(execution.device)
    if device.type == "cuda":
        device = torch.device("cuda", (device.index or 0) + rank)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.cuda.set_device(device)
        torch.cuda.init()  # type: ignore[no-untyped-call]  # statistics of memory are asked for before anything is made
        torch.backends.cudnn.deterministic = execution.deterministic
        torch.backends.cudnn.benchmark = not execution.deterministic
    return device


def _set_deterministic(execution: Execution) -> None:
    """Do as `torch.use_deterministic_algorithms`, which also imports the compiler to tell it: two seconds.

    So only if something is compiled; what does not is told by the same flag of torch.
    """
    if execution.compile:
        torch.use_deterministic_algorithms(execution.deterministic)
    else:
        torch._C._set_deterministic_algorithms(execution.deterministic, warn_only=False)  # noqa: SLF001


def _keep_memory() -> None:
    """Let glibc keep freed memory: gradients of tens of MB are otherwise mapped and faulted in again at every step.

    Worth a sixth of the time of a step of the MNIST baseline on two cores; elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        mmap_max, trim_threshold = -4, -1
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


class StopFlag:
    """Whether the driver has asked for a stop; set from a thread that also ends an orphan."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask for a stop at the next step."""
        self._event.set()


@contextmanager
def watched(folder: Path) -> Iterator[StopFlag]:
    """Watch, during the block, for the stop file in the attempt's folder and for the death of the driver.

    A worker whose driver died ends at once, without a result: the next driver resumes from the last checkpoint.
    """
    flag, over, parent = StopFlag(), threading.Event(), os.getppid()
    guarded = multiprocessing.parent_process() is not None  # else this is the driver itself

    def watch() -> None:
        while not over.wait(_POLL_S):
            if guarded and os.getppid() != parent:
                os._exit(1)
            if (folder / STOP_FILE).exists():
                flag.set()

    thread = threading.Thread(target=watch, name="harness-watch", daemon=True)
    thread.start()
    try:
        yield flag
    finally:
        over.set()
        thread.join()


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what was queued; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Start to measure the peak again, if the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_bytes(device: torch.device) -> int | None:
    """Return the peak since `reset_peak_memory`: allocated on the GPU, resident on the CPU; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None
