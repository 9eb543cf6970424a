"""Networks by torch's own operators, to hand on: to files that are read where the harness is not installed.

`torch.export` and ONNX know torch's own operators. A network with feature pooling or top-k in it calls ours, which are
faster but have to be there to be loaded; `to_plain` gives a copy that calls torch's instead. Values are the same. It is
for inference: of equal values, torch's operators give the gradient to others than ours do.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from harness.layers.spatial import ChannelPool2d
from harness.layers.topk import ChannelTopK2d


class PlainChannelPool2d(ChannelPool2d):
    """`ChannelPool2d` by `amax` or `amin`: (N, C, H, W) → (N, C/stride, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.unflatten(1, (-1, self.stride))  # type: ignore[no-untyped-call]  # (N, C/stride, stride, H, W)
        pooled: Tensor = grouped.amax(2) if self.reduce == "max" else grouped.amin(2)
        return pooled


class PlainChannelTopK2d(ChannelTopK2d):
    """`ChannelTopK2d` by `torch.topk`: (N, C, H, W) → (N, k, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.topk(x, self.k, dim=1, largest=self.largest, sorted=True).values


_PLAIN: dict[type[nn.Module], type[nn.Module]] = {ChannelPool2d: PlainChannelPool2d, ChannelTopK2d: PlainChannelTopK2d}


def to_plain(model: nn.Module) -> nn.Module:
    """Return a copy of a network, in evaluation mode, that computes the same by torch's own operators alone.

        torch.export.save(torch.export.export(to_plain(model), (images,)), "model.pt2")

    Such a file loads where the harness is not installed. Layers of ours keep their names, parameters and hooks; average
    pooling, `random` and 1×1 convolutions are plain already, as is all that is not ours. `model` is left as it is.
    """
    plain = deepcopy(model).eval()
    for module in plain.modules():
        if type(module) in _PLAIN:
            module.__class__ = _PLAIN[type(module)]
    return plain
