"""What a protocol says of a training, put to work: initialisation, batch normalisation, optimiser, learning rate.

Every parameter is drawn from a stream that is named after it, by its name in the network without compressors (models
keep these names whatever is at their sites), so that networks that differ in a compressor start equal wherever a
shape is equal. The learning rate is a function of the step alone, so that a resumed attempt needs no state.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.training.eager import eager
from harness.training.rmsprop import rmsprop
from harness.training.streams import stream, stream_seed

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def initialise(model: nn.Module, scheme: str, seed: int) -> None:
    """Set a model's parameters in place: weights by `scheme`, biases zero, normalisation to the identity.

    `xavier_uniform` (Glorot and Bengio 2010, as in TensorFlow 1): uniform in ±√(6 / (fan_in + fan_out)).
    `he_normal` (He et al. 2015): normal with deviation √(2 / fan_in). `own`: as the network's constructor left it.
    Raises ValueError for another scheme. Parameters of modules that are no convolution, linear layer or normalisation
    (a plug-in's own) are drawn by the module's `reset_parameters`, from a stream of its own.
    """
    if scheme == "own":
        return
    if scheme not in _SCHEMES:
        raise ValueError(f"unknown initialisation '{scheme}'")
    draw = _SCHEMES[scheme]
    keeps: frozenset[str] = getattr(model, "keeps", frozenset())  # modules whose parameters come from a file
    for module_name, module in model.named_modules():
        if module_name in keeps or not list(module.parameters(recurse=False)):
            continue
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            draw(module.weight, stream(seed, "init", f"{module_name}.weight"))
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


def _he_normal(weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill a weight (out, in, …) on any device from a CPU stream."""
    deviation = math.sqrt(2 / math.prod(weight.shape[1:]))
    drawn = torch.empty(weight.shape, dtype=torch.float32).normal_(0, deviation, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn)


_SCHEMES = {"xavier_uniform": _xavier_uniform, "he_normal": _he_normal}


def _own(module: nn.Module, name: str, seed: int) -> None:
    reset = getattr(module, "reset_parameters", None)
    if not callable(reset):
        return  # what its constructor made, which drew from torch's own generator, seeded by the run
    gpus = {p.device.index for p in module.parameters(recurse=False) if p.is_cuda}
    with torch.random.fork_rng(devices=sorted(gpus)):
        torch.manual_seed(stream_seed(seed, "init", name))
        reset()


def set_batch_norm(model: nn.Module, options: Mapping[str, float] | None) -> None:
    """Set decay and epsilon of every batch normalisation; None leaves them as the model has them."""
    if options is None:
        return
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum, module.eps = 1 - options["decay"], options["epsilon"]


def build_optimizer(options: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return torch's optimiser for canonical options, its update fused into one pass over the parameters."""
    rate, decay = options["learning_rate"], options.get("weight_decay", 0.0)
    if options["kind"] == "sgd":
        return eager(torch.optim.SGD)(
            parameters,
            lr=rate,
            momentum=options.get("momentum", 0.0),
            nesterov=options.get("nesterov", False),
            weight_decay=decay,
            fused=True,
        )
    if options["kind"] == "adam":
        return eager(torch.optim.Adam)(
            parameters,
            lr=rate,
            betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)),
            eps=options.get("epsilon", 1e-8),
            weight_decay=decay,
            fused=True,
        )
    if options["kind"] in {"rmsprop", "rmsprop_tf"}:
        return rmsprop(options, parameters)
    raise ValueError(f"unknown optimiser '{options['kind']}'")


@dataclass(frozen=True)
class LearningRate:
    """A protocol's schedule, the learning rate of its optimiser (the peak), and the steps of the whole training."""

    schedule: Mapping[str, Any]
    peak: float
    steps: int

    def at(self, *, epoch: int, step: int) -> float:
        """Return the rate of a step, `epoch` epochs and `step` steps after the start.

        Raises ValueError for an unknown kind of schedule.
        """
        kind = self.schedule["kind"]
        if kind == "constant":
            return self.peak
        if kind == "steps":
            changes = zip(self.schedule["at"], self.schedule["to"], strict=True)
            passed = [rate for start, rate in changes if epoch >= start]
            return float(passed[-1]) if passed else self.peak
        if kind == "exponential":
            return float(self.peak * self.schedule["factor"] ** (epoch // self.schedule.get("every", 1)))
        if kind == "one_cycle":
            return self.peak * self._one_cycle(min(1.0, (step + 0.5) / self.steps))
        if kind == "cosine":
            end = float(self.schedule.get("end", 0.0))
            return self.peak * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, (step + 0.5) / self.steps))))
        raise ValueError(f"unknown schedule '{kind}'")

    def _one_cycle(self, done: float) -> float:
        """Return the part of the peak when a part of the training, 0 to 1, is done."""
        warm_up, start, end = self.schedule["warm_up"], self.schedule["start"], self.schedule["end"]
        if done < warm_up:
            return float(start + (1 - start) * done / warm_up)
        return float(1 + (end - 1) * (done - warm_up) / (1 - warm_up))
