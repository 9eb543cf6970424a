"""Weights that never meet a pixel: taps of a kernel that lie in the zero padding wherever the kernel is.

A 9×9 kernel on maps of 4×4 has 32 such taps of 81. Their weights have gradient 0 for ever: they are counted among a
network's parameters, but neither learn nor matter for images of this size (section 4.2 of the paper, on CIFAR-10).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from harness.models.build import build_model
from harness.trial.models import ModelDeclaration


def dead_weights(config: Mapping[str, Any], height: int, width: int, plugin_paths: Sequence[str | Path] = ()) -> int:
    """Return how many weights of a trial's convolutions meet nothing but padding, for images of `height` × `width`.

    The network runs once without values. Two-dimensional convolutions and deconvolutions are looked at, of any stride
    and dilation, each of which runs once per pass.

    Args:
        config: a resolved configuration; its "model" and "compressors" are read.
        height: of the images.
        width: of the images.
        plugin_paths: folders in which modules of plug-ins may lie.

    Raises:
        HarnessError: the model or a compressor cannot be built.
    """
    with torch.device("meta"), torch.no_grad():
        model = build_model(config, plugin_paths).eval()
        declaration = cast("ModelDeclaration", model.declaration)
        counts: list[int] = []

        def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            counts.append(_dead(module, inputs[0].shape[-2:], output.shape[-2:]))

        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_hook(look)
        model(torch.empty(1, declaration.input_shape[0], height, width))
    return sum(counts)


def _dead(module: Any, read: torch.Size, made: torch.Size) -> int:
    """Return the dead weights of a convolution or a deconvolution from its input's and its output's size."""
    if isinstance(module, nn.ConvTranspose2d):
        read, made = made, read  # the roles of a convolution's: each place of the input meets a window of the output
    live, taps = 1, 1
    for axis in (0, 1):
        kernel, stride = module.kernel_size[axis], module.stride[axis]
        padding, dilation = int(module.padding[axis]), module.dilation[axis]
        starts = [place * stride - padding for place in range(made[axis])]
        live *= sum(any(0 <= start + tap * dilation < read[axis] for start in starts) for tap in range(kernel))
        taps *= kernel
    return int(module.weight.numel()) // taps * (taps - live)
