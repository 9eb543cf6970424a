"""Numeric precision of training: fp32, tf32 (fp32 with shorter products on a GPU), bf16 (mixed, weights in fp32)."""

from contextlib import AbstractContextManager, nullcontext

import torch

from harness.base.errors import HarnessError


def use_precision(precision: str, device: torch.device) -> None:
    """Set for this process whether a GPU may shorten fp32 products. Raises HarnessError for tf32 without a GPU."""
    if precision == "tf32" and device.type != "cuda":
        raise HarnessError("precision 'tf32' needs a GPU: a CPU has no such numbers")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a network is called: bf16 if torch deems it safe, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
