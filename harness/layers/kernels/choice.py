"""Which implementation a call gets: what is chosen where it is made, and what the tensor's dtype and device allow."""

import warnings
from contextvars import ContextVar
from importlib.util import find_spec

import torch
from torch import Tensor

from harness.layers.transforms import constant_result, differentiated

KERNELS = ("auto", "torch")
"""auto: a kernel wherever one fits; torch: plain torch."""

_DTYPES = {
    "cpu": frozenset({torch.float32, torch.bfloat16}),
    "cuda": frozenset({torch.float32, torch.bfloat16, torch.float16}),
}

_selected = ContextVar("kernels", default="auto")

_usable = {
    "cpu": find_spec("numba") is not None and find_spec("llvmlite") is not None,
    "cuda": find_spec("triton") is not None,
}
"""Whether a device type has kernels here: not without their compiler, nor once that has failed."""


class use_kernels:  # noqa: N801 - a statement or a block, as torch.set_grad_enabled
    """Choose "auto" or "torch" for the calling thread (or task) from now on; after `with`, for the block.

    What `torch.compile` has compiled stays as it was chosen then.

    Raises:
        ValueError: another word.
    """

    def __init__(self, name: str) -> None:
        if name not in KERNELS:
            raise ValueError(f"kernels is 'auto' or 'torch', not {name!r}")
        self._before = _selected.set(name)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _selected.reset(self._before)


@constant_result  # no compiler follows a context variable
def selected_kernels() -> str:
    """Return what `use_kernels` chose, "auto" at first."""
    return _selected.get()


def wanted(x: Tensor) -> bool:
    """Return whether the maps `x` go to a kernel: not under derivatives that custom operators cannot join."""
    if selected_kernels() == "torch":
        return False
    device = x.device.type
    return bool(_usable.get(device)) and x.dtype in _DTYPES[device] and not differentiated()


def give_up(device: str, reason: Exception) -> None:
    """Keep to plain torch on a device type from now on, and say so once."""
    if _usable[device]:
        _usable[device] = False
        first = str(reason).partition("\n")[0]
        warnings.warn(
            f"harness: no pooling kernels on {device} ({type(reason).__name__}: {first}); plain torch takes over",
            RuntimeWarning,
            stacklevel=3,
        )
