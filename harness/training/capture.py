"""A training step captured once as a CUDA graph and replayed: no operation is launched by the CPU any more.

Only an attempt on a GPU reaches this module; the digests of others leave it out (`harness.trial.attempt_digest`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from harness.base.errors import HarnessError
from harness.training.step import PlainStep

_WARM_UP = 3  # calls before a capture, in which libraries choose their algorithms and make their buffers


class CapturedStep:
    """A step captured as one CUDA graph at its first call; a batch of another size is stepped call by call."""

    def __init__(self, plain: PlainStep, model: nn.Module, batch_size: int) -> None:
        self._plain, self._model = plain, model
        self._device = device = plain.task.device
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
        """Warm up, put everything back as it was, and capture.

        Raises HarnessError, with what to write, for a step that cannot be captured, as one that waits for the device.
        """
        self._warm_up()
        optimizer = self._plain.optimizer
        for group in optimizer.param_groups:
            if "capturable" in group:  # Adam asks for it; its fused update is the same either way
                group["capturable"] = True
        optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._loss.copy_(self._plain.step(self._index))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise HarnessError(
                f"the training step cannot be captured ({reason}): write 'execution: {{capture: off}}' into the study"
            ) from error
        return graph

    def _warm_up(self) -> None:
        """Take steps on a stream of their own, as a capture wants it, and undo them, draws from the generator too."""
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream(self._device)
        with torch.random.fork_rng(devices=[self._device]), _restored(self._model, self._plain.optimizer):
            side.wait_stream(current)  # what is to be put back has been copied by then
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP):
                    self._plain.step(self._index)
            current.wait_stream(side)


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
