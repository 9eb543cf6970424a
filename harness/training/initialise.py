"""Initialisation by a protocol: every parameter from a stream that is named after it.

A parameter's name is that in the network without compressors (models keep these names whatever stands at their sites),
so that networks that differ in a compressor start equal wherever a shape is equal.
"""

import math

import torch
from torch import nn

from harness.training.streams import stream, stream_seed

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def initialise(model: nn.Module, scheme: str, seed: int) -> None:
    """Set a model's parameters in place: weights by `scheme`, biases zero, normalisation to the identity.

    `xavier_uniform` (Glorot and Bengio 2010, as in TensorFlow 1): uniform in ±√(6 / (fan_in + fan_out)).
    Raises ValueError for another scheme. Parameters of modules that are no convolution, linear layer or normalisation
    (a plug-in's own) are drawn by the module's `reset_parameters`, from a stream of its own.
    """
    if scheme != "xavier_uniform":
        raise ValueError(f"unknown initialisation '{scheme}'")
    keeps: frozenset[str] = getattr(model, "keeps", frozenset())  # modules whose parameters come from a file
    for module_name, module in model.named_modules():
        if module_name in keeps or not list(module.parameters(recurse=False)):
            continue
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            _xavier_uniform(module.weight, stream(seed, "init", f"{module_name}.weight"))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif not isinstance(module, _NORMS):
            _own(module, module_name, seed)


def _xavier_uniform(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill a weight (out, in, …) on any device from a CPU stream."""
    receptive = math.prod(weight.shape[2:])
    bound = math.sqrt(6 / ((weight.shape[0] + weight.shape[1]) * receptive))
    drawn = torch.empty(weight.shape, dtype=torch.float32).uniform_(-bound, bound, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn)


def _own(module: nn.Module, name: str, seed: int) -> None:
    reset = getattr(module, "reset_parameters", None)
    if not callable(reset):
        return  # what its constructor made, which drew from torch's own generator, seeded by the run
    gpus = {p.device.index for p in module.parameters(recurse=False) if p.is_cuda}
    with torch.random.fork_rng(devices=sorted(gpus)):
        torch.manual_seed(stream_seed(seed, "init", name))
        reset()
