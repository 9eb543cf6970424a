"""RMSProp in TensorFlow 1's form, under which §4.1 (C) trained, and in torch's, which is another optimiser.

TensorFlow (`tf.train.RMSPropOptimizer`), with gradient g, the average of squares s starting at one and momentum b at 0:

    s ← decay·s + (1 − decay)·g²;   b ← momentum·b + rate·g / √(s + ε);   w ← w − b

torch.optim.RMSprop starts s at zero, divides by √s + ε, and multiplies by the rate when b is subtracted, so that a
change of the rate acts at once on what b has gathered. At ε = 1 and a rate of 0.1 the two have little in common.
Weight decay is added to the gradient, as TF-slim's regularisation is.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

import torch
from torch import Tensor, nn

from harness.training.eager import eager


class RmsPropTf(torch.optim.Optimizer):
    """RMSProp as TensorFlow 1 has it.

    The learning rate may be a tensor that stays where it is, as a captured step wants it.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        decay: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)
        for group in self.param_groups:  # not at the first step: what that makes, a capture sets to zero
            for parameter in group["params"]:
                self.state[parameter]["squares"] = torch.ones_like(parameter)
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step with the gradients that the parameters have; those without one stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: nn.Parameter, gradient: Tensor, group: Mapping[str, Any]) -> None:
        state = self.state[parameter]
        squares, momentum = state["squares"], state["momentum"]
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        squares.mul_(group["decay"]).addcmul_(gradient, gradient, value=1 - group["decay"])
        step = gradient.div(squares.add(group["eps"]).sqrt_()).mul_(group["lr"])
        parameter.sub_(momentum.mul_(group["momentum"]).add_(step))


def rmsprop(options: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser of canonical options of kind `rmsprop_tf` or `rmsprop`."""
    rate, decay, momentum = options["learning_rate"], options.get("decay", 0.9), options.get("momentum", 0.0)
    epsilon, weight_decay = options.get("epsilon", 1e-8), options.get("weight_decay", 0.0)
    if options["kind"] == "rmsprop_tf":
        return eager(RmsPropTf)(
            parameters, rate, decay=decay, momentum=momentum, eps=epsilon, weight_decay=weight_decay
        )
    return eager(torch.optim.RMSprop)(
        parameters, lr=rate, alpha=decay, momentum=momentum, eps=epsilon, weight_decay=weight_decay, foreach=True
    )
