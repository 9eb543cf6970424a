"""From a request to a task and a network at its start."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from harness.attempt.messages import AttemptRequest, Execution
from harness.base.errors import HarnessError
from harness.layers.kernels.linear import use_onednn
from harness.models.sites import using_order
from harness.tasks.base import Task
from harness.tasks.build import build_task
from harness.tasks.precision import use_precision
from harness.training.checkpoint import Progress
from harness.training.engine import build_step
from harness.training.initialise import initialise
from harness.training.learning_rate import LearningRate
from harness.training.loop import Batches, Training
from harness.training.optimizer import build_optimizer
from harness.training.streams import seed_libraries


@dataclass(frozen=True)
class Setup:
    """A task with its network, initialised from the run's seed."""

    task: Task
    model: nn.Module


def set_up(request: AttemptRequest, device: torch.device) -> Setup:
    """Load the data, build the network and initialise it. Raises HarnessError for a precision that is not to be had."""
    protocol = request.config["protocol"]
    use_precision(protocol["precision"], device)
    own = request.datasets[0]
    if request.config["data"]["train"] != own.splits["train"].fingerprint:
        raise HarnessError(f"'{own.name}' is not the training data of trial {request.trial_key}")
    task = build_task(
        request.config,
        request.datasets,
        Path(request.data_root),
        device,
        channels_last=channels_last(request.execution, protocol["precision"]),
        plugin_paths=request.plugin_paths,
    )
    seed_libraries(request.seed)
    with using_order(request.execution.order):
        model = task.model(request.config, request.plugin_paths, request.files)
    initialise(model, protocol["initialization"], request.seed)
    set_batch_norm(model, protocol.get("batch_norm"))
    if device.type == "cpu" and request.execution.kernels == "auto" and not request.execution.compile:
        use_onednn(model)
    return Setup(task, model)


def training(setup: Setup, request: AttemptRequest, progress: Progress) -> Training:
    """Return the network of `setup` ready to be trained by the request's protocol from `progress` on."""
    protocol = request.config["protocol"]
    optimizer = build_optimizer(protocol["optimizer"], setup.model.parameters())
    batches = Batches.of(protocol, setup.task.examples)
    return Training(
        task=setup.task,
        model=setup.model,
        optimizer=optimizer,
        step=build_step(setup.task, setup.model, optimizer, request.execution, batches.batch_size),
        batches=batches,
        rate=LearningRate(protocol["schedule"], protocol["optimizer"]["learning_rate"], batches.steps),
        seed=request.seed,
        progress=progress,
    )


def channels_last(execution: Execution, precision: str) -> bool:
    """Return whether maps lie channels-last: as the execution says; else on a GPU and in bf16, which are faster so."""
    if execution.memory_format == "auto":
        return precision == "bf16" or execution.device.startswith("cuda")
    return execution.memory_format == "channels_last"


def set_batch_norm(model: nn.Module, options: Mapping[str, float] | None) -> None:
    """Set decay and epsilon of every batch normalisation; None leaves them as the model has them."""
    if options is None:
        return
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum, module.eps = 1 - options["decay"], options["epsilon"]
