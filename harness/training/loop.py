"""The training loop: epochs of steps from a point of progress on, with observation, checkpoints and an orderly stop."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.tasks.base import ReadsAhead, Task
from harness.training.checkpoint import Progress
from harness.training.observe import OBSERVE_EVERY, Bystander, Observer
from harness.training.process import StopFlag, synchronise
from harness.training.progress_file import ProgressFile
from harness.training.ranks import ALONE, Ranks
from harness.training.recipe import LearningRate
from harness.training.step import Step
from harness.training.streams import epoch_order, stream


@dataclass(frozen=True)
class Batches:
    """How many images, batches and epochs a training has."""

    images: int
    batch_size: int
    an_epoch: int
    epochs: int

    @classmethod
    def of(cls, protocol: Mapping[str, Any], images: int) -> "Batches":
        """Return the batches of a protocol on so many training images."""
        size = protocol["batch_size"]
        whole, rest = divmod(images, size)
        an_epoch = whole + (1 if rest and protocol["last_batch"] == "keep" else 0)
        return cls(images, size, an_epoch, protocol["epochs"])

    @property
    def steps(self) -> int:
        """The batches of the whole training."""
        return self.an_epoch * self.epochs

    def batch(self, order: Tensor, number: int) -> Tensor:
        """Return the indices of a batch: int64 (B,), B the batch size but for a last batch that is kept."""
        return order[number * self.batch_size : (number + 1) * self.batch_size]


class Training:
    """One network in training. `run` may be left by a stop and resumed from `progress`."""

    def __init__(  # noqa: PLR0913 - all that a training is made of
        self,
        *,
        task: Task,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        step: Step,
        batches: Batches,
        rate: LearningRate,
        seed: int,
        progress: Progress,
        ranks: Ranks = ALONE,
    ) -> None:
        self.task, self.model, self.optimizer, self._take_step = task, model, optimizer, step
        self.batches, self.seed, self.progress, self.ranks = batches, seed, progress, ranks
        self._rate = rate
        self._loss_sum = torch.tensor(progress.loss_sum, dtype=torch.float64, device=task.device)

    def run(
        self,
        *,
        observer: Observer | Bystander,
        stop: StopFlag,
        checkpoint: Callable[[], None],
        checkpoint_every_s: float,
        folder: Path | None,
    ) -> Literal["done", "nan", "interrupted"]:
        """Train to the end (done), to an epoch after which a metric is not a number (nan), or to a stop (interrupted).

        A checkpoint is written at a stop and whenever `checkpoint_every_s` seconds have passed since the last. Of
        several processes the first decides; `folder` is where it says how far it is.
        """
        progress, progress_file = (
            self.progress,
            ProgressFile(folder, self.batches.epochs, self.batches.steps),
        )
        saved = time.monotonic()
        self.model.train()
        while progress.epoch < self.batches.epochs:
            order = self.begin_epoch(progress.epoch)
            while progress.batch < self.batches.an_epoch:
                if self.ranks.agreed(bool(stop)):
                    checkpoint()
                    return "interrupted"
                if time.monotonic() - saved >= checkpoint_every_s:
                    checkpoint()
                    saved = time.monotonic()
                started = time.perf_counter()
                index = self.batches.batch(order, progress.batch)
                self.step(index, progress.epoch, progress.step)
                progress.batch += 1
                progress.step += 1
                progress.images += len(index)
                if progress.step % OBSERVE_EVERY == 0 or progress.batch == self.batches.an_epoch:
                    synchronise(self.task.device)  # what was queued is training time, not that of the observation
                progress.train_seconds += time.perf_counter() - started
                if progress.step % OBSERVE_EVERY == 0:
                    loss = self._take_loss()
                    progress_file.metric = observer.observe(self.model, progress.step, loss)
                    progress_file.loss = loss
                progress_file.write(progress)
            progress.epoch, progress.batch = progress.epoch + 1, 0
            evaluated = observer.epoch(self.model, progress.step)
            progress_file.metric = next(iter(evaluated.metrics.items()), None)
            progress_file.write(progress, at_once=True)
            if self.ranks.agreed(any(map(math.isnan, evaluated.metrics.values()))):
                return "nan"
        return "done"

    def begin_epoch(self, epoch: int) -> Tensor:
        """Draw what an epoch (from 0) draws and return its order: int64 (images,) on the device."""
        self.task.begin_epoch(lambda purpose: stream(self.seed, purpose, epoch))
        order = epoch_order(self.seed, epoch, self.batches.images)
        if isinstance(self.task, ReadsAhead):
            left = range(self.progress.batch, self.batches.an_epoch)
            self.task.read_ahead([self.batches.batch(order, number) for number in left])
        return order.to(self.task.device)

    def step(self, index: Tensor, epoch: int, step: int) -> None:
        """Take optimiser step `step` (from 0), in epoch `epoch`, on the training images at `index`, int64 (B,)."""
        self.ranks.begin_step(self.seed, step)
        self.task.begin_step(len(index), lambda purpose: stream(self.seed, purpose, epoch, step))
        self._loss_sum += self._take_step(index, self._rate.at(epoch=epoch, step=step))
        self.progress.loss_count += 1

    def loss_sum(self) -> float:
        """Return the sum of the losses since the last point of the curve, for a checkpoint."""
        return float(self._loss_sum)

    def _take_loss(self) -> float:
        mean = float(self._loss_sum) / max(1, self.progress.loss_count)
        self._loss_sum.zero_()
        self.progress.loss_count = 0
        return mean
