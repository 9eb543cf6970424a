"""Which device `auto` means, without importing torch if there can be no GPU."""

import os
import re
import shutil

from harness.base.errors import HarnessError
from harness.base.extras import is_installed, needs


def choose_device(asked: str) -> str:
    """Return cpu or cuda:N for auto, cpu, cuda or cuda:N; it is torch that knows a GPU.

    Raises HarnessError for another word or an absent GPU.
    """
    if asked == "cpu":
        return "cpu"
    if asked == "auto" and not (_may_have_gpu() and is_installed("torch")):
        return "cpu"
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", asked)
    if match is None:
        raise HarnessError(f"--device takes auto, cpu, cuda or cuda:N, not '{asked}'")
    needs("torch")
    import torch

    found = torch.cuda.device_count()
    number = int(match[1] or 0)
    if number < found:
        return f"cuda:{number}"
    if asked == "auto":
        return "cpu"
    raise HarnessError(f"there is no {asked} here: torch {torch.__version__} sees {found} GPU(s)")


def device_model(device: str) -> str:
    """Return the model of a device, as attempts on it record it, e.g. "AMD EPYC" or "NVIDIA H200"."""
    from harness.training.environment import device_name

    return device_name(device)


def all_gpus(asked: str) -> tuple[str, ...]:
    """Return every GPU for auto and cuda, the one that cuda:N names; none for cpu, and if there is no GPU."""
    chosen = choose_device(asked)
    if chosen == "cpu" or ":" in asked:
        return () if chosen == "cpu" else (chosen,)
    import torch

    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))


def check_gpus(first: str, count: int) -> None:
    """Raise HarnessError if there are fewer GPUs than `count` from `first` on, such as "cuda:0"."""
    import torch

    number, found = int(first.partition(":")[2] or 0), torch.cuda.device_count()
    if number + count > found:
        there = f"there {'is 1 GPU' if found == 1 else f'are {found} GPUs'} here"
        raise HarnessError(f"'processes: {count}' takes a GPU for each, from {first} on, and {there}: write fewer")


def _may_have_gpu() -> bool:
    return shutil.which("nvidia-smi") is not None or os.path.exists("/proc/driver/nvidia")  # noqa: PTH110
