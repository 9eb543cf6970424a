"""From a protocol's optimiser to torch's."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def build_optimizer(options: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return torch's optimiser for canonical options, its update fused into one pass over the parameters."""
    rate, decay = options["learning_rate"], options.get("weight_decay", 0.0)
    if options["kind"] == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=rate,
            momentum=options.get("momentum", 0.0),
            nesterov=options.get("nesterov", False),
            weight_decay=decay,
            fused=True,
        )
    if options["kind"] == "adam":
        return torch.optim.Adam(
            parameters,
            lr=rate,
            betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)),
            eps=options.get("epsilon", 1e-8),
            weight_decay=decay,
            fused=True,
        )
    raise ValueError(f"unknown optimiser '{options['kind']}'")
