"""What an attempt ran on: the facts that explain a difference between two machines."""

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("harness", "torch", "torchvision", "numpy", "scikit-learn")


def environment(device: torch.device) -> dict[str, Any]:
    """Return versions, device model and source state; the host is a hash of its name."""
    return {
        **_fixed(),
        "device": device_name(device),
        "driver": _driver(device),
    }


def device_name(device: torch.device) -> str:
    """Return a device's model, e.g. "AMD EPYC" or "NVIDIA H200"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_name()


@cache
def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({_cpu_capability()})"
    return f"{platform.processor() or platform.machine()} ({_cpu_capability()})"


def _cpu_capability() -> str:
    return f"{torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores"


def _driver(device: torch.device) -> str | None:
    return torch.version.cuda if device.type == "cuda" else None


@cache
def _fixed() -> dict[str, Any]:
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    sha, dirty = _git()
    return {
        "host": hashlib.sha256(platform.node().encode()).hexdigest()[:12],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),  # with the kernel's build, so not published
        "system": f"{platform.system()} {platform.machine()}",
        "packages": packages,
        "git_sha": sha,
        "dirty": dirty,
    }


def _git() -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that this code lies in and whether tracked files differ from it."""
    folder = Path(__file__).resolve().parent
    try:
        answers = [
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603, S607
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no", "--", "."))
        ]
    except (OSError, subprocess.SubprocessError):
        return None, None
    return answers[0].strip(), bool(answers[1].strip())
