"""What an attempt ran on: the facts that explain a difference between two machines.

Nothing here wakes torch for a CPU: a person's own function may do without it.
"""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.spec.processor import processor_facts, processor_name

_PACKAGES = ("harness", "torch", "torchvision", "numpy", "scikit-learn")


def environment(device: object) -> dict[str, Any]:
    """Return versions, device model and source state; the host is a hash of its name.

    `device` is a torch.device or its name, "cpu" or "cuda:0"; a GPU that is not there is told as the CPU.
    """
    there = device if _on_gpu(device) and _has_gpu() else "cpu"
    return {
        **_fixed(),
        "device": device_name(there),
        "driver": _driver(there),
    }


def device_name(device: object) -> str:
    """Return a device's model, e.g. "AMD EPYC" or "NVIDIA H200"; `device` as `environment` takes it."""
    if _on_gpu(device):
        import torch

        return torch.cuda.get_device_name(torch.device(str(device)))
    return _cpu_name()


def _on_gpu(device: object) -> bool:
    return str(device).startswith("cuda")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@cache
def _cpu_name() -> str:
    flags = frozenset(processor_facts().get("flags", "").split())
    return f"{processor_name()} ({_cpu_capability(flags)}, {os.cpu_count()} cores)"


_CAPABILITIES = {
    "AVX512": {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"},
    "AVX2": {"avx2", "fma"},
}


def _cpu_capability(flags: frozenset[str]) -> str:
    """Return torch's word for the instructions that it uses: its own where it is loaded, else by the same rule."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.backends.cpu.get_cpu_capability())
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "").upper()
    able = [name for name, needed in _CAPABILITIES.items() if needed <= flags]
    return next((name for name in able if asked in {"", name}), "DEFAULT")


def _driver(device: object) -> str | None:
    if not _on_gpu(device):
        return None
    import torch

    return torch.version.cuda


@cache
def library_versions() -> Mapping[str, str | None]:
    """Return the installed version of each library that may matter to a result; None where it is not installed."""
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return packages


@cache
def _fixed() -> dict[str, Any]:
    packages = library_versions()
    loaded = sys.modules.get("torch")
    sha, dirty = _git()
    return {
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:12],
        "python": platform.python_version(),
        "torch": packages["torch"] if loaded is None else loaded.__version__,
        "platform": platform.platform(),  # with the kernel's build, so not published
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(packages),
        "git_sha": sha,
        "dirty": dirty,
    }


def _git() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that our code lies in and whether files of it differ from that; else None.

    An installed package may lie in somebody's repository, in a virtual environment: that is not its commit.
    """
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return None, None
    try:
        answers = [
            subprocess.run(["git", *words], cwd=package, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603, S607
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no", "--", "."))
        ]
    except (OSError, subprocess.SubprocessError):
        return None, None
    return answers[0].strip(), bool(answers[1].strip())
