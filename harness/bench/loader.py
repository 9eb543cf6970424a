"""Images per second from JPEG files into a training step: the harness's loader beside torchvision's reference pipeline.

Both train on the same files in batches of the same size: crops of one size, drawn as RandomResizedCrop draws them,
flipped or not, normalised. Both decode with Pillow in as many processes, and keep these from one epoch to the next. The
step is that of the smallest network (means of the channels, one linear layer), so that what is timed is the loader.
Epochs of both alternate; the first of each, which starts the processes, does not count. `decoded once` is the harness
with the images held decoded in memory: a figure apart. The processor time of all processes of a pipeline is beside
its speed: it changes little if other programs run on the machine.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from harness.tasks.base import ReadsAhead, Task
from harness.torchvision_compat import import_torchvision
from harness.training.process import synchronise
from harness.training.setup import build_task
from harness.training.streams import epoch_order, stream
from harness.trial.resolve import Trial, resolve_trial

_MEAN, _DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@dataclass(frozen=True)
class LoaderOptions:
    """Of which folder (with `train` and `val`) how many images, at which size, and by how many processes."""

    folder: Path
    data_root: Path
    size: int
    batch_size: int
    images: int
    workers: int
    rounds: int
    device: str
    threads: int


class _Smallest(nn.Module):
    """(N, C, H, W) → (N, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def bench_loader(options: LoaderOptions, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row per pipeline: images per second (median of the rounds), and their ratio to torchvision's."""
    torch.manual_seed(0)
    there = _trial(options, "each_time").data[0].splits["train"].images
    options = replace(options, images=min(options.images, there))
    pipelines: dict[str, Callable[[int], None]] = {
        "harness": _ours(options, "each_time"),
        "torchvision": _reference(options),
        "harness, decoded once": _ours(options, "once"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    processor: dict[str, list[float]] = {name: [] for name in pipelines}
    for number in range(options.rounds + 1):
        for name, epoch in pipelines.items():
            started, used = time.perf_counter(), _processor_seconds()
            epoch(number)
            synchronise(torch.device(options.device))
            if number:
                seconds[name].append(time.perf_counter() - started)
                processor[name].append(_processor_seconds() - used)
                say(f"{name}, round {number}: {options.images / seconds[name][-1]:.0f} images/s")
    reference = statistics.median(seconds["torchvision"])
    return [
        {
            "pipeline": name,
            "images": options.images,
            "size": options.size,
            "workers": options.workers,
            "images_per_s": round(options.images / statistics.median(found), 1),
            "slowest": round(options.images / max(found), 1),
            "fastest": round(options.images / min(found), 1),
            "ratio_to_torchvision": round(reference / statistics.median(found), 2),
            "processor_ms_per_image": round(1000 * statistics.median(processor[name]) / options.images, 2),
        }
        for name, found in seconds.items()
    ]


def _processor_seconds() -> float:
    """Return the processor time of this process and of those that it has started, if Linux tells; else its own."""
    used, ticks = time.process_time(), os.sysconf("SC_CLK_TCK")
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            with suppress(OSError):  # ended meanwhile
                fields = Path("/proc", child, "stat").read_text().rpartition(")")[2].split()
                used += (int(fields[11]) + int(fields[12])) / ticks  # in user mode and in the kernel
    return used


def _trial(options: LoaderOptions, decode: str) -> Trial:
    size = options.size
    return resolve_trial(
        task="classification",
        dataset={
            "kind": "folder", "path": str(options.folder.resolve()), "size": size, "short_side": size,
            "decode": decode, "workers": options.workers,
        },
        model="torchvision:squeezenet1_1",
        protocol={
            "kind": "imagenet-paper",
            "batch_size": options.batch_size,
            "normalization": {"mean": _MEAN, "deviation": _DEVIATION},
        },
    )  # fmt: skip


def _ours(options: LoaderOptions, decode: str) -> Callable[[int], None]:
    """Return a function that trains one epoch, of a number, by the harness's own task."""
    trial, device = _trial(options, decode), torch.device(options.device)
    task: Task = build_task(trial.config, trial.data, options.data_root, device, channels_last=False)
    model = _Smallest(trial.data[0].classes).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def epoch(number: int) -> None:
        task.begin_epoch(lambda purpose: stream(0, purpose, number))
        order = epoch_order(0, number, task.examples)[: options.images]
        batches = torch.split(order, options.batch_size)
        if isinstance(task, ReadsAhead):
            task.read_ahead(batches)
        for batch in batches:
            task.begin_step(len(batch), lambda purpose: stream(0, purpose))
            _step(task.loss(model, batch.to(device)), optimizer)

    return epoch


def _reference(options: LoaderOptions) -> Callable[[int], None]:
    """Return a function that trains one epoch by torchvision's dataset and transforms and torch's DataLoader."""
    import_torchvision()
    from torchvision import datasets, transforms

    device = torch.device(options.device)
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(options.size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(_MEAN, _DEVIATION),
        ]
    )
    dataset = datasets.ImageFolder(str(options.folder / "train"), transform)
    chosen = torch.randperm(len(dataset), generator=stream(0, "bench"))[: options.images].tolist()
    loader: Any = DataLoader(
        Subset(dataset, chosen),
        batch_size=options.batch_size,
        shuffle=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        pin_memory=device.type == "cuda",
    )
    model = _Smallest(len(dataset.classes)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in loader:
            yield images.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def epoch(_: int) -> None:
        for images, labels in batches():
            _step(F.cross_entropy(model(images), labels), optimizer)

    return epoch


def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
