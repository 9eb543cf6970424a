"""What an attempt ran with: the facts that explain a difference between two machines.

Nothing here wakes torch for a CPU: a person's own function may do without it. It is asked after the function, whose
modules may be anything: a fact that cannot be told is left out, and takes no result along.
"""

import ctypes
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import __version__
from harness.base.extras import DISTRIBUTION
from harness.base.processor import processor_facts, processor_name
from harness.training.distributions import imported, installed

_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn")


_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "PYTHONHASHSEED",
)  # fmt: skip
"""By these a library chooses other instructions, threads or algorithms, and so other bits."""


def environment(device: object, repository: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what this process has run with; the host is a hash of its name.

    `device` is a torch.device or its name, "cpu" or "cuda:0"; a GPU that is not there is told as the CPU. `repository`
    is the state of the one in which the study lies. `packages` are the distributions that were imported, `installed`
    all that there are.
    """
    there = device if _on_gpu(device) and _has_gpu() else "cpu"
    facts: dict[str, Callable[[], Any]] = {
        "packages": _packages,
        "installed": installed,
        "cpu": lambda: _cpu_name() if _on_gpu(there) else None,  # else it is the device
        "libc": lambda: os.confstr("CS_GNU_LIBC_VERSION"),
        "distribution": lambda: platform.freedesktop_os_release()["PRETTY_NAME"],
        "blas": _blas,
        "threads_in_use": _threads,
        "variables": lambda: {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "cuda": lambda: _cuda(there),
    }
    found = {name: _told(fact) for name, fact in facts.items()}
    return {
        **_fixed(),
        "device": _told(lambda: device_name(there)),
        "driver": _told(lambda: _driver(there)),
        **{name: fact for name, fact in found.items() if fact},
        **({"study": dict(repository)} if repository else {}),
    }


def _told(fact: Callable[[], Any]) -> Any:
    """Return a fact, or None if it cannot be told."""
    try:
        return fact()
    except Exception:  # noqa: BLE001 - a library that a person's function has imported may raise anything
        return None


def _packages() -> dict[str, str]:
    """Return what was imported; our own version is that of the code, under the name that older records have too."""
    others = {name: version for name, version in imported().items() if name not in {DISTRIBUTION, "harness"}}
    return {"harness": __version__, **others}


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
    """Return torch's word for the instructions that it uses: its own if it is loaded, else by the same rule."""
    torch = sys.modules.get("torch")
    if torch is not None:
        return str(torch.backends.cpu.get_cpu_capability())
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "").upper()
    able = [name for name, needed in _CAPABILITIES.items() if needed <= flags]
    return next((name for name in able if asked in {"", name}), "DEFAULT")


def _driver(device: object) -> str | None:
    """Return the version of the GPU's driver; None on a CPU."""
    if not _on_gpu(device):
        return None
    said = Path("/proc/driver/nvidia/version")
    found = re.search(r"Kernel Module\D*([\d.]+)", said.read_text(encoding="utf-8")) if said.exists() else None
    return found[1] if found else _driver_by_nvml()


def _driver_by_nvml() -> str:
    """Ask NVIDIA's management library, as in a container that does not see the driver's own file."""
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    version = ctypes.create_string_buffer(96)
    if nvml.nvmlInit_v2() or nvml.nvmlSystemGetDriverVersion(version, len(version)):
        raise OSError("the driver does not tell its version")
    nvml.nvmlShutdown()
    return version.value.decode()


def _cuda(device: object) -> dict[str, str] | None:
    """Return the versions of CUDA (or ROCm) and cuDNN that torch runs on a GPU with; None on a CPU."""
    if not _on_gpu(device):
        return None
    import torch

    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    versions = {"runtime": torch.version.cuda, "rocm": torch.version.hip, "cudnn": cudnn}
    return {name: str(version) for name, version in versions.items() if version}


def _blas() -> dict[str, str]:
    """Return what the libraries that were imported compute matrices with."""
    found: dict[str, str] = {}
    if "torch" in sys.modules:
        built = sys.modules["torch"].__config__.show()
        for name, pattern in _TORCH_BLAS.items():
            if said := re.search(pattern, built):
                found[name] = said[1]
    if "numpy" in sys.modules:
        blas = sys.modules["numpy"].show_config(mode="dicts")["Build Dependencies"]["blas"]
        found["numpy"] = f"{blas['name']} {blas['version']}"
    return found


_TORCH_BLAS = {
    "torch": r"BLAS_INFO=(\w+)",
    "mkl": r"oneAPI Math Kernel Library Version (\S+)",
    "onednn": r"MKL-DNN v(\S+)",
}


def _threads() -> dict[str, int]:
    """Return the threads that torch computes with, if it was imported."""
    torch = sys.modules.get("torch")
    return {"torch": torch.get_num_threads()} if torch is not None else {}


@cache
def library_versions() -> Mapping[str, str | None]:
    """Return the installed version of each library that may matter to a result; None if it is not installed."""
    packages: dict[str, str | None] = {"harness": __version__}
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
        "torch": packages["torch"] if loaded is None else getattr(loaded, "__version__", None),
        "platform": platform.platform(),  # with the kernel's build, so not published
        "system": f"{platform.system()} {platform.machine()}",
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
