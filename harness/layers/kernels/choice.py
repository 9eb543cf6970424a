"""Which implementation a call gets: this process's setting, and what the tensor's dtype and device allow."""

import warnings
from importlib.util import find_spec

import torch
from torch import Tensor

from harness.layers.transforms import differentiated

KERNELS = ("auto", "torch")
"""auto: a kernel wherever one fits; torch: plain torch."""

_DTYPES = {
    "cpu": frozenset({torch.float32, torch.bfloat16}),
    "cuda": frozenset({torch.float32, torch.bfloat16, torch.float16}),
}

_state: dict[str, str | bool] = {
    "selected": "auto",
    "cpu": find_spec("numba") is not None and find_spec("llvmlite") is not None,
    "cuda": find_spec("triton") is not None,
}


def use_kernels(name: str) -> None:
    """Choose for this process: "auto" or "torch".

    Raises:
        ValueError: another word.
    """
    if name not in KERNELS:
        raise ValueError(f"kernels is 'auto' or 'torch', not {name!r}")
    _state["selected"] = name


def selected_kernels() -> str:
    """Return what `use_kernels` chose, "auto" at first."""
    return str(_state["selected"])


def wanted(x: Tensor) -> bool:
    """Return whether the maps `x` go to a kernel: not under derivatives that custom operators cannot join."""
    if _state["selected"] == "torch":
        return False
    device = x.device.type
    return bool(_state.get(device)) and x.dtype in _DTYPES[device] and not differentiated()


def give_up(device: str, reason: Exception) -> None:
    """Keep to plain torch on a device type from now on, and say so once."""
    if _state[device]:
        _state[device] = False
        first = str(reason).partition("\n")[0]
        warnings.warn(
            f"harness: no pooling kernels on {device} ({type(reason).__name__}: {first}); plain torch takes over",
            RuntimeWarning,
            stacklevel=3,
        )
