"""One training step, as an execution wants it: call by call, compiled, or captured once as a CUDA graph and replayed.

A step reads the batch's indices, gathers and augments the images on the device, and updates the weights. Nothing in it
waits for the device. A captured step reads its indices and its learning rate from tensors that stay where they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from harness.spec.attempt import Execution
from harness.tasks.classification import Classification

_WARM_UP = 3  # calls before a capture, in which libraries choose their algorithms and make their buffers


class Step(Protocol):
    """Takes one optimiser step on a batch and returns its mean loss, a scalar on the device."""

    def __call__(self, index: Tensor, rate: float) -> Tensor:
        """Step on the training images at `index`, int64 (B,) on the device, with learning rate `rate`."""


def build_step(
    task: Classification, model: nn.Module, optimizer: torch.optim.Optimizer, execution: Execution, batch_size: int
) -> Step:
    """Return the step of an execution: captured on a GPU unless it says otherwise, elsewhere call by call."""
    called: nn.Module = torch.compile(model) if execution.compile else model  # type: ignore[assignment]
    plain = PlainStep(task, called, optimizer)
    if execution.capture == "off" or task.device.type != "cuda":
        return plain
    return CapturedStep(plain, model, batch_size)


class PlainStep:
    """A step whose operations are called one by one."""

    def __init__(self, task: Classification, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.task, self.model, self.optimizer = task, model, optimizer

    def __call__(self, index: Tensor, rate: float) -> Tensor:
        """Take the step."""
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


class CapturedStep:
    """A step captured as one CUDA graph at its first call; a batch of another size is stepped call by call."""

    def __init__(self, plain: PlainStep, model: nn.Module, batch_size: int) -> None:
        self._plain, self._model = plain, model
        device = plain.task.device
        self._index = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self._rate = torch.zeros((), device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._loss = torch.zeros((), device=device)

    def __call__(self, index: Tensor, rate: float) -> Tensor:
        """Take the step; the loss that is returned is overwritten by the next one."""
        if len(index) != len(self._index):
            return self._plain(index, rate)
        self._index.copy_(index)
        self._rate.fill_(rate)
        for group in self._plain.optimizer.param_groups:
            group["lr"] = self._rate
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        return self._loss

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Warm up, put everything back as it was, and capture."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with _restored(self._model, self._plain.optimizer), torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self._plain.step(self._index)
            torch.cuda.current_stream().synchronize()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self._plain.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self._loss.copy_(self._plain.step(self._index))
        return graph


@contextmanager
def _restored(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Put weights, moving averages and the optimiser's state back, in place, after the block.

    What the block makes (moments, counts of steps) begins at zero, as torch's own optimisers begin.
    """
    held = [*model.parameters(), *model.buffers()]
    before = [tensor.detach().clone() for tensor in held]
    moments = {id(t): t.clone() for t in _state(optimizer)}
    yield
    with torch.no_grad():
        for tensor, value in zip(held, before, strict=True):
            tensor.copy_(value)
        for tensor in _state(optimizer):
            old = moments.get(id(tensor))
            tensor.zero_() if old is None else tensor.copy_(old)


def _state(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
