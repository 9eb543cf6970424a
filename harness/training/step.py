"""One training step, as an execution wants it: call by call, compiled, or captured once as a CUDA graph and replayed.

A step reads the batch's indices, gathers and augments the images on the device, and updates the weights. Nothing in it
waits for the device. A captured step reads its indices and its learning rate from tensors that stay where they are.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from harness.tasks.base import Task


class Step(Protocol):
    """Takes one optimiser step on a batch and returns its mean loss, a scalar on the device."""

    def __call__(self, index: Tensor, rate: float) -> Tensor:
        """Step on the training images at `index`, int64 (B,) on the device, with learning rate `rate`."""


class PlainStep:
    """A step whose operations are called one by one."""

    def __init__(self, task: Task, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.task, self.model, self.optimizer = task, model, optimizer

    def __call__(self, index: Tensor, rate: float) -> Tensor:
        """Take the step."""
        if self.task.device.type == "cuda":
            rate = float(torch.tensor(rate, dtype=torch.float32))  # as precise as the tensor of a captured step
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return self.step(index)

    def step(self, index: Tensor) -> Tensor:
        """Take the step with the learning rate that the optimiser has."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.task.loss(self.model, index)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()
