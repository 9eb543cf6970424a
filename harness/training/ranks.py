"""The processes that train one network together, as each of them sees it: its rank among them, and what they share.

    the first process (rank 0)                      every other one
    order, crops, noise of the whole batch          the same, from the same streams
    loss of the first share of the batch            loss of its own share
    ───────── batch statistics over all shares (`batch_norm`), gradients averaged (DistributedDataParallel) ─────────
    the same update of the same weights             the same update
    evaluates, writes curve and checkpoints         waits

Each share counts by the number of its examples, so what is minimised is the mean over the whole batch, as with one
process; the last batch of an epoch may be shorter. Gradients are added up in buckets that never change: with
`find_unused_parameters` they are not arranged again after the first step. So a resumed training adds in the same order
as an undisturbed one.

What a network draws from torch's own generator (dropout) each process draws for its share, in each step from a stream
of its own: there is no state to restore, and the masks are not those of a training by one process.
"""

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from harness.base.errors import HarnessError
from harness.tasks.base import SharedTask, Task
from harness.training.batch_norm import has_other_buffers
from harness.training.several import Place
from harness.training.step import PlainStep
from harness.training.streams import stream_seed

_PATIENCE = timedelta(hours=2)  # with the others: longer than any evaluation by the first


@dataclass(frozen=True)
class Ranks:
    """This process among those that train one network together; by default the only one."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that evaluates and writes."""
        return self.rank == 0

    def part(self, batch: int) -> slice:
        """Return which examples of a batch are this process's share: contiguous, the sizes differ by at most one."""
        return slice(batch * self.rank // self.count, batch * (self.rank + 1) // self.count)

    def agreed(self, word: bool) -> bool:
        """Return the first process's word, in all of them."""
        if self.count == 1:
            return word
        said = torch.tensor(int(word))
        dist.broadcast(said, 0)
        return bool(said)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of all processes' values, with the same bits in each of them. It takes the values' place."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def gathered(self, values: Tensor) -> Tensor:
        """Return the values (N,) of all processes in the order of their ranks, (count, N)."""
        found = values.new_empty(self.count * len(values))
        dist.all_gather_into_tensor(found, values)
        return found.view(self.count, -1)

    def begin_step(self, seed: int, step: int) -> None:
        """Let torch's own generator begin a stream of this step and process; one process draws on, as libraries do."""
        if self.count > 1:
            torch.manual_seed(stream_seed(seed, "torch", step, self.rank))


ALONE = Ranks()


@contextmanager
def joined(place: Place | None, device: torch.device) -> Iterator[Ranks]:
    """Meet the other processes, on this machine alone, for the block; `place` None: there are none.

    After an error nothing is said to them: whoever started this process ends them.
    """
    if place is None:
        yield ALONE
        return
    loopback = {"lo", "lo0"} & {name for _, name in socket.if_nameindex()}
    for name in loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
    dist.init_process_group(
        "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl",
        store=dist.FileStore(place.meeting, place.count),  # type: ignore[attr-defined]
        rank=place.rank,
        world_size=place.count,
        timeout=_PATIENCE,
    )
    yield Ranks(place.rank, place.count)
    dist.destroy_process_group()


class SharedStep(PlainStep):
    """A step on this process's share of a batch; the weights that come out are the same in all processes."""

    def __init__(self, task: Task, model: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks) -> None:
        if not hasattr(task, "share"):
            raise HarnessError(
                f"the task {type(task).__name__} has no method 'share', without which several processes cannot train:"
                " leave 'processes' out of 'execution'"
            )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)  # from torch 2.13 on
            together = DistributedDataParallel(
                model,
                broadcast_buffers=has_other_buffers(model),
                find_unused_parameters=True,
                gradient_as_bucket_view=True,
            )
        super().__init__(task, together, optimizer)
        self._ranks = ranks

    def step(self, index: Tensor) -> Tensor:
        """Take the step on the share of the batch at `index`, int64 (B,); return the mean loss of the whole batch."""
        part = self._ranks.part(len(index))
        weight = (part.stop - part.start) / len(index)
        cast("SharedTask", self.task).share(part)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.task.loss(self.model, index[part])
        (loss * (weight * self._ranks.count)).backward()  # the gradients are averaged over the processes
        self.optimizer.step()
        return self._ranks.total(loss.detach() * weight)
