"""What a network costs, whatever it learns: the columns "Parameters" and "Flops" of Tables 1 to 3, and MACs.

The paper's "Flops" are not operations of a forward pass. They are what TensorFlow 1's profiler counted: the
initialisers (2 for each weight, biases free) and the moving averages of batch normalisation (6 for each
channel). Both readings are given: `paper_flops` to hold against the paper, `macs` for what is computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.backends import mha
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.base.errors import HarnessError, in_one_line, wants_values
from harness.models.build import build_model
from harness.torchvision_compat import import_ptflops
from harness.trial.models import ModelDeclaration

_CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Costs:
    """Counts of one network; a parameter that two modules share counts once."""

    parameters: int  # trainable
    variables: int  # all parameters, and the moving mean and variance of batch normalisation, as TensorFlow counts
    weights: int  # of convolutions and linear layers, without biases
    macs: int  # multiply-accumulates of convolutions and matrix products, for one image
    paper_flops: int  # 2 · weights + 6 · channels of batch normalisation


def count(model: nn.Module, input_shape: Sequence[int]) -> Costs:
    """Return the costs of `model` for one input of `input_shape` (C, H, W).

    The model runs once, in evaluation mode without gradients, on its own device (the meta device will do),
    and is left as it was. Adding a bias is not a MAC, nor are the comparisons of pooling.
    """
    weights = sum(weight.numel() for weight in _weights(model))
    norms = [module for module in model.modules() if isinstance(module, _BATCH_NORMS)]
    averages = [b for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None]
    return Costs(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        variables=sum(p.numel() for p in model.parameters()) + sum(b.numel() for b in averages),
        weights=weights,
        macs=_count_macs(model, tuple(input_shape)),
        paper_flops=2 * weights + 6 * sum(norm.num_features for norm in norms),
    )


def count_config(config: Mapping[str, Any], plugin_paths: Sequence[str | Path] = ()) -> dict[str, float]:
    """Return the costs of a trial's network by name, without making its weights, nor drawing random numbers.

    Args:
        config: a resolved configuration; its "model" and "compressors" are read.
        plugin_paths: folders in which modules of plug-ins may lie.

    A method that is never trained has parameters and variables only: its work is not counted in MACs.

    Raises:
        HarnessError: the model or a compressor cannot be built, or does not run.
    """
    kinds = dict.fromkeys([config["model"]["kind"], *(options["kind"] for options in config["compressors"].values())])
    with in_one_line(f"the network of {', '.join(kinds)} does not run"):
        try:
            costs = _build_and_count(config, plugin_paths, "meta")  # shapes without storage
        except (HarnessError, RuntimeError) as error:
            if not wants_values(error):
                raise
            with torch.random.fork_rng(devices=[]):
                costs = _build_and_count(config, plugin_paths, "cpu")
    return {name: float(value) for name, value in costs.items()}


def _build_and_count(config: Mapping[str, Any], plugin_paths: Sequence[str | Path], device: str) -> Mapping[str, int]:
    with torch.device(device):
        model = build_model(config, plugin_paths)
    declaration = cast("ModelDeclaration", model.declaration)
    if declaration.trains:
        return asdict(count(model, declaration.input_shape))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {"parameters": parameters, "variables": parameters}  # what a method computes is no layers' products


def _weights(model: nn.Module) -> Iterator[Tensor]:
    seen: set[Tensor] = set()
    for module in model.modules():
        if isinstance(module, (*_CONVOLUTIONS, nn.Linear)) and module.weight not in seen:
            seen.add(module.weight)
            yield module.weight


def _count_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Count with ptflops by ATen operators; its other backend, by modules, misses what functions compute.

    Its engine is used by itself, since `get_model_complexity_info` leaves its hooks on the model, and prints
    an error if it should raise one. Its own formulas count the addition of a bias as a MAC; ours do not.
    """
    import_ptflops()
    from ptflops.aten_engine import FlopCounterMode
    from ptflops.aten_ops import conv_flop_count, matmul_flop

    def addmm(inputs: Sequence[Any], outputs: Sequence[Tensor]) -> int:
        return int(matmul_flop(inputs[1:3], outputs))  # bias, input, weight

    def convolution(inputs: Sequence[Any], outputs: Sequence[Tensor]) -> int:
        x, weight, transposed = inputs[0], inputs[1], inputs[6]
        return int(conv_flop_count(x.shape, weight.shape, outputs[0].shape, transposed=transposed))

    parameter = next(model.parameters(), torch.empty(0))
    image = torch.zeros((1, *input_shape), dtype=parameter.dtype, device=parameter.device)
    formulas = {torch.ops.aten.addmm: addmm, torch.ops.aten.convolution: convolution}
    with _evaluating(model), torch.no_grad(), _in_plain_steps():
        counter = FlopCounterMode(custom_hooks=formulas)
        with counter:
            model(image)
    return int(counter.complexity)


@contextmanager
def _in_plain_steps() -> Iterator[None]:
    """Have attention computed by matrix products, as it is on the meta device: one operator for all counts nothing."""
    fused = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mha.set_fastpath_enabled(fused)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode, and each of its modules back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
