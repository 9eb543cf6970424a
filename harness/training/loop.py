"""The training loop: epochs of steps from a point of progress on, with observation, checkpoints and an orderly stop."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.tasks.classification import Classification
from harness.training.checkpoint import Progress
from harness.training.observe import OBSERVE_EVERY, Observer
from harness.training.process import StopFlag, synchronise
from harness.training.streams import epoch_order
from harness.training.tell import Teller


@dataclass(frozen=True)
class Schedule:
    """How many images, batches and epochs a training has."""

    images: int
    batch_size: int
    batches: int  # an epoch
    epochs: int

    @classmethod
    def of(cls, protocol: Mapping[str, Any], images: int) -> "Schedule":
        """Return the schedule of a protocol on so many training images."""
        size = protocol["batch_size"]
        whole, rest = divmod(images, size)
        batches = whole + (1 if rest and protocol["last_batch"] == "keep" else 0)
        return cls(images, size, batches, protocol["epochs"])

    def batch(self, order: Tensor, number: int) -> Tensor:
        """Return the indices of a batch: int64 (B,), B the batch size but for a last batch that is kept."""
        return order[number * self.batch_size : (number + 1) * self.batch_size]


class Training:
    """One network in training. `run` may be left by a stop and gone on with from `progress`."""

    def __init__(
        self,
        *,
        task: Classification,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        seed: int,
        progress: Progress,
    ) -> None:
        self.task, self.model, self.optimizer = task, model, optimizer
        self.schedule, self.seed, self.progress = schedule, seed, progress
        self._loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=task.device)

    def run(
        self,
        *,
        observer: Observer,
        stop: StopFlag,
        checkpoint: Callable[[], None],
        checkpoint_every_s: float,
        folder: Path,
    ) -> Literal["done", "nan", "interrupted"]:
        """Train to the end (done), to an epoch with a loss that is no number (nan), or to a stop (interrupted).

        A checkpoint is written at a stop and whenever `checkpoint_every_s` seconds have passed since the last.
        """
        progress, teller = (
            self.progress,
            Teller(folder, self.schedule.epochs, self.schedule.epochs * self.schedule.batches),
        )
        saved = time.monotonic()
        self.model.train()
        while progress.epoch < self.schedule.epochs:
            order = epoch_order(self.seed, progress.epoch, self.schedule.images).to(self.task.device)
            while progress.batch < self.schedule.batches:
                if stop:
                    checkpoint()
                    return "interrupted"
                if time.monotonic() - saved >= checkpoint_every_s:
                    checkpoint()
                    saved = time.monotonic()
                started = time.perf_counter()
                index = self.schedule.batch(order, progress.batch)
                self.step(index)
                progress.batch += 1
                progress.step += 1
                progress.images += len(index)
                if progress.step % OBSERVE_EVERY == 0 or progress.batch == self.schedule.batches:
                    synchronise(self.task.device)  # what was queued is training time, not that of the observation
                progress.train_seconds += time.perf_counter() - started
                if progress.step % OBSERVE_EVERY == 0:
                    loss = self._take_loss()
                    teller.metric = observer.observe(self.model, progress.step, loss)
                    teller.loss = loss
                teller.tell(progress)
            progress.epoch, progress.batch = progress.epoch + 1, 0
            evaluated = observer.epoch(self.model, progress.step)
            teller.metric = evaluated.accuracy
            teller.tell(progress, at_once=True)
            if not math.isfinite(evaluated.loss):
                return "nan"
        return "done"

    def step(self, index: Tensor) -> None:
        """Take one optimiser step on the training images at `index`, int64 (B,)."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.task.loss(self.model, index)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._loss_sum += loss.detach()
        self.progress.loss_count += 1

    def loss_sum(self) -> float:
        """Return the sum of the losses since the last point of the curve, for a checkpoint."""
        return float(self._loss_sum)

    def _take_loss(self) -> float:
        mean = float(self._loss_sum) / max(1, self.progress.loss_count)
        self._loss_sum.zero_()
        self.progress.loss_count = 0
        return mean
