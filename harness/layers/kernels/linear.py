"""Large fully connected layers on the CPU by oneDNN, which torch has beside the MKL that it multiplies matrices with.

On AMD's processors oneDNN is faster at the three products of such a layer in fp32 (`harness bench epoch --case mnist`:
most of that network's weights are in one). Other processors were not measured and keep MKL. Values differ from MKL's by
rounding alone; on one machine they are the same each time.
"""

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.base.processor import processor_facts
from harness.layers.kernels.eager import PLAIN, unwatched

_LARGE = 2_000_000  # weights


def use_onednn(model: nn.Module) -> int:
    """Let the large `nn.Linear` of a network on the CPU compute by oneDNN if that is faster; return how many do.

    They stay `nn.Linear`: weights, hooks and the state's names are as they were.
    """
    large = [m for m in model.modules() if type(m) is nn.Linear and m.weight.numel() >= _LARGE]
    if not large or not _faster() or not _works():
        return 0
    for module in large:
        module.__class__ = OneDNNLinear
    return len(large)


class OneDNNLinear(nn.Linear):
    """`nn.Linear` by oneDNN for plain fp32 on the CPU; for all else torch's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x·Wᵀ + b, (…, out), of x, (…, in)."""
        if not self._fits(x):
            return super().forward(x)
        product: Tensor = _Product.apply(x.flatten(0, -2), self.weight, self.bias)  # type: ignore[no-untyped-call]
        return product.view(*x.shape[:-1], self.out_features)

    def _fits(self, x: Tensor) -> bool:
        return (
            x.dtype == self.weight.dtype == torch.float32
            and x.device.type == self.weight.device.type == "cpu"
            and x.ndim > 1
            and x.numel() > 0
            and not torch.is_autocast_enabled("cpu")
            and unwatched(x)
            and type(self.weight) in PLAIN
        )


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        # Second derivatives, batched gradients: what torch can differentiate and batch again.
        product = F.linear if torch.is_grad_enabled() or not unwatched(g) else _product
        return (
            product(g, weight.t()) if needs_x else None,
            product(g.t(), x.t()) if needs_weight else None,
            g.sum(0) if needs_bias else None,
        )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x·Wᵀ + b, (M, N), of x, (M, K), and W, (N, K), however these lie in memory."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # noqa: SLF001
    return product


def _faster() -> bool:
    return processor_facts().get("vendor_id") == "AuthenticAMD"


@cache
def _works() -> bool:
    """Whether torch has oneDNN's operator as it is known here. One that is there and differs is told of, once."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:  # type: ignore[no-untyped-call]
        return False
    try:
        x, weight = (torch.arange(n, dtype=torch.float32, device="cpu").remainder(7).view(-1, 6) for n in (24, 30))
        found = [_product(x, weight, weight[:, 0].contiguous()), _product(x.t(), weight.view(6, 5).t()[:, :4])]
        with torch.no_grad():
            expected = [x @ weight.t() + weight[:, 0], x.t() @ weight.view(6, 5).t()[:, :4].t()]
        if all(map(torch.equal, found, expected)):
            return True
        reason = "its results differ from torch's"
    except Exception as error:  # noqa: BLE001 an operator of torch's that is not documented may change in any way
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    warnings.warn(
        f"harness: no oneDNN for fully connected layers ({reason}); torch's own", RuntimeWarning, stacklevel=3
    )
    return False
