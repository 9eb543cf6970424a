"""`harness bench epoch`: one epoch by the harness and by the loop that people usually write, in turn.

Same network, same start, same data, same recipe but for the order of the images, same machine and threads; reading the
data and building the networks is not timed. Each epoch is made in a process of its own: ours as in a worker, the other
as in a person's script, with torch as it comes. The usual loop is `harness.bench.usual`, always in fp32, with plain
torch's operators in the paper's order; ours is in the precision that was asked for, and the row names it.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import torch

from harness.attempt.messages import AttemptRequest, Execution
from harness.bench.gpu_clock import macs_per_s
from harness.bench.usual import usual_dataset, usual_epoch
from harness.cost.count import count_config
from harness.data.dataset import load_dataset
from harness.execution.executors.local import worker_environment
from harness.layers.kernels import use_kernels
from harness.training.checkpoint import Progress
from harness.training.loop import Batches
from harness.training.process import configure, synchronise
from harness.training.setup import Setup, set_up, training
from harness.trial.resolve import resolve_trial

_FP4 = {"conv2": {"kind": "spatial", "stride": 4}}
CASES: Mapping[str, Mapping[str, Any]] = {
    "mnist": {"dataset": "mnist", "model": "mnist_cnn", "protocol": "mnist-paper", "compressors": {}},
    "mnist-pooled": {"dataset": "mnist", "model": "mnist_cnn", "protocol": "mnist-paper", "compressors": _FP4},
    "cifar": {"dataset": "cifar10", "model": "vgg16", "protocol": "cifar-paper", "compressors": {}},
    "digits": {"dataset": "digits", "model": "mnist_cnn", "protocol": "digits-quick", "compressors": {}},
}


@dataclass(frozen=True)
class EpochOptions:
    """How epochs are compared. `images` None: all of them."""

    data_root: Path
    device: str = "cpu"
    threads: int = 1
    precision: str = "fp32"
    workers: int = 2
    rounds: int = 1
    images: int | None = None


@dataclass(frozen=True)
class Epoch:
    """One epoch: seconds, images, accuracy on the test set after it.

    `of_peak`: multiply-accumulates of forward and backward passes, in parts of what matrix products reach on this GPU.
    """

    seconds: float
    images: int
    accuracy: float
    of_peak: float | None = None


def bench_epoch(case: str, options: EpochOptions, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for each loop; epochs are timed in turn, `rounds` of each, every one from the same start."""
    found: dict[str, list[Epoch]] = {"harness": [], "usual": []}
    for number in range(options.rounds):
        for name, epochs in found.items():
            epoch = _epoch(name, case, options)
            say(f"{case}, {name}, round {number + 1}: {epoch.seconds:.1f} s, accuracy {epoch.accuracy:.4f}")
            epochs.append(epoch)
    return rows(case, options, found)


def _epoch(loop: str, case: str, options: EpochOptions) -> Epoch:
    """Make one epoch in a fresh process: neither loop has what the other has set."""
    environment = worker_environment(options.threads) if loop == "harness" else nullcontext()
    with environment, ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_ours if loop == "harness" else _usual, case, options).result()


def rows(case: str, options: EpochOptions, found: Mapping[str, list[Epoch]]) -> list[dict[str, Any]]:
    """Return the medians of both loops; ratio: images per second over the usual loop's."""
    speed = {name: median(e.images / e.seconds for e in epochs) for name, epochs in found.items()}
    return [
        {
            "case": case,
            "loop": name,
            "precision": options.precision if name == "harness" else "fp32",
            "device": options.device,
            "threads": options.threads,
            "workers": 0 if name == "harness" else options.workers,
            "images": epochs[0].images,
            "seconds": median(e.seconds for e in epochs),
            "images_per_s": speed[name],
            "ratio": speed[name] / speed["usual"],
            "accuracy": median(e.accuracy for e in epochs),
            "of_peak": _median_of_peak(epochs),
        }
        for name, epochs in found.items()
    ]


def _median_of_peak(epochs: Sequence[Epoch]) -> float | None:
    known = [epoch.of_peak for epoch in epochs if epoch.of_peak is not None]
    return median(known) if known else None


def _of_peak(request: AttemptRequest, images_per_s: float) -> float | None:
    """Return the part of the GPU's matrix products that training reaches: a backward pass costs two forward passes."""
    device, precision = request.execution.device, request.config["protocol"]["precision"]
    if not device.startswith("cuda"):
        return None
    return 3 * count_config(request.config)["macs"] * images_per_s / macs_per_s(device, precision)


def _request(case: str, options: EpochOptions, precision: str) -> AttemptRequest:
    named = dict(CASES[case])
    trial = resolve_trial(
        task="classification", **{**named, "protocol": {"kind": named["protocol"], "precision": precision}}
    )
    execution = Execution(device=options.device, threads=options.threads)
    return AttemptRequest(
        uuid4().hex, "train", trial.key, trial.config, 0, trial.data, (), execution, "/none", str(options.data_root)
    )


def _ours(case: str, options: EpochOptions) -> Epoch:
    request = _request(case, options, options.precision)
    device = configure(request.execution)
    setup = set_up(request, device)
    session = training(setup, request, Progress())
    images = _images(setup, options)
    session.batches = Batches.of(request.config["protocol"], images)
    session.model.train()
    session.step(session.batches.batch(session.begin_epoch(0), 0), 0, 0)  # what is done once, as in the usual loop
    setup, session = _again(request, device)
    session.batches = Batches.of(request.config["protocol"], images)
    session.model.train()
    synchronise(device)
    started = time.perf_counter()
    order = session.begin_epoch(0)
    for number in range(session.batches.an_epoch):
        session.step(session.batches.batch(order, number), 0, number)
    synchronise(device)
    seconds = time.perf_counter() - started
    trained = min(images, session.batches.an_epoch * session.batches.batch_size)
    return Epoch(seconds, trained, _accuracy(setup), _of_peak(request, trained / seconds))


def _again(request: AttemptRequest, device: torch.device) -> Any:
    setup = set_up(request, device)
    return setup, training(setup, request, Progress())


def _usual(case: str, options: EpochOptions) -> Epoch:
    multiprocessing.set_start_method(None, force=True)  # the platform's own, as in a script: it was inherited
    request = _request(case, options, "fp32")
    request = replace(request, execution=replace(request.execution, kernels="torch", order="as_written"))
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    use_kernels("torch")
    setup, protocol = set_up(request, device), request.config["protocol"]
    images = _images(setup, options)
    augmentation = protocol["augmentation"]
    dataset = usual_dataset(
        load_dataset(request.datasets[0], options.data_root)["train"],
        protocol["normalization"]["mean"],
        protocol["normalization"]["deviation"],
        augmentation["padding"] if isinstance(augmentation, Mapping) else None,
    )
    batch_size = protocol["batch_size"]

    def train(count: int, workers: int) -> None:
        usual_epoch(
            setup.model,
            dataset,
            optimizer=_usual_optimizer(setup, protocol["optimizer"]),
            images=count,
            batch_size=batch_size,
            workers=workers,
            device=device,
        )

    train(min(images, batch_size), 0)  # what is done once, on either side
    setup = set_up(request, device)
    synchronise(device)
    started = time.perf_counter()
    train(images, options.workers)
    synchronise(device)
    return Epoch(time.perf_counter() - started, images, _accuracy(setup))


def _usual_optimizer(setup: Setup, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Return torch's optimiser as people make it: nothing of how it is carried out is said."""
    rate, decay = options["learning_rate"], options.get("weight_decay", 0.0)
    if options["kind"] == "adam":
        return torch.optim.Adam(setup.model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        setup.model.parameters(),
        lr=rate,
        momentum=options.get("momentum", 0.0),
        nesterov=options.get("nesterov", False),
        weight_decay=decay,
    )


def _images(setup: Setup, options: EpochOptions) -> int:
    return min(options.images or setup.task.examples, setup.task.examples)


def _accuracy(setup: Setup) -> float:
    return setup.task.evaluate(setup.model.eval(), setup.task.observed).metrics["accuracy"]
