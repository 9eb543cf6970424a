"""From a request to a task and a network at its start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from harness.attempt.data import DatasetDeclaration
from harness.attempt.messages import AttemptRequest, Execution
from harness.base.errors import HarnessError
from harness.layers.kernels.linear import use_onednn
from harness.models.sites import using_order
from harness.plugins.plugin import load_object, load_ours
from harness.tasks.base import Task
from harness.tasks.precision import use_precision
from harness.training.batch_norm import synchronise_batch_norms
from harness.training.checkpoint import Progress
from harness.training.loop import Batches, Training
from harness.training.ranks import ALONE, Ranks, SharedStep
from harness.training.recipe import LearningRate, build_optimizer, initialise, set_batch_norm
from harness.training.step import PlainStep, Step
from harness.training.streams import seed_libraries
from harness.trial.tasks import find_task


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


def training(setup: Setup, request: AttemptRequest, progress: Progress, ranks: Ranks = ALONE) -> Training:
    """Return the network of `setup` ready to be trained by the request's protocol from `progress` on.

    Raises HarnessError for a last batch that cannot be shared.
    """
    protocol = request.config["protocol"]
    optimizer = build_optimizer(protocol["optimizer"], setup.model.parameters())
    batches = Batches.of(protocol, setup.task.examples)
    _check_last_batch(batches, ranks)
    return Training(
        task=setup.task,
        model=setup.model,
        optimizer=optimizer,
        step=build_step(setup.task, setup.model, optimizer, request.execution, batches.batch_size, ranks),
        batches=batches,
        rate=LearningRate(protocol["schedule"], protocol["optimizer"]["learning_rate"], batches.steps),
        seed=request.seed,
        progress=progress,
        ranks=ranks,
    )


def _check_last_batch(batches: Batches, ranks: Ranks) -> None:
    last = batches.images - (batches.an_epoch - 1) * batches.batch_size
    if last < ranks.count:
        raise HarnessError(
            f"the last batch of an epoch has {last} of {batches.images:,} examples, too few for {ranks.count} processes"
            ": take 'last_batch: drop' or another 'batch_size' in the protocol, or fewer 'processes'"
        )


def build_step(
    task: Task,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    execution: Execution,
    batch_size: int,
    ranks: Ranks = ALONE,
) -> Step:
    """Return the step of an execution: captured on a GPU unless it says otherwise, elsewhere call by call.

    Several processes take it call by call, too, each on its share.
    """
    if ranks.count > 1:
        synchronise_batch_norms(model, ranks)
        return SharedStep(task, model, optimizer, ranks)
    called: nn.Module = torch.compile(model) if execution.compile else model  # type: ignore[assignment]
    plain = PlainStep(task, called, optimizer)
    if execution.capture == "off" or task.device.type != "cuda":
        return plain
    from harness.training.capture import CapturedStep

    return CapturedStep(plain, model, batch_size)


def channels_last(execution: Execution, precision: str) -> bool:
    """Return whether maps lie channels-last: as the execution says; else on a GPU and in bf16, which are faster so."""
    if execution.memory_format == "auto":
        return precision == "bf16" or execution.device.startswith("cuda")
    return execution.memory_format == "channels_last"


def build_task(
    config: Mapping[str, Any],
    datasets: Sequence[DatasetDeclaration],
    data_root: Path,
    device: torch.device,
    *,
    channels_last: bool,
    plugin_paths: Sequence[str] = (),
) -> Task:
    """Return the task of a trial, its data on the device.

    Raises HarnessError for a task that this installation does not have, or whose code was edited since the trial was
    planned.
    """
    kind = config["task"]["kind"]
    found = find_task(kind, plugin_paths)
    if found is None:
        raise HarnessError(f"the task '{kind}' is a function here, not a network's")
    declaration, digest = found
    if digest != config["task"].get("code"):
        raise HarnessError(f"the code of task '{kind}' was edited since this was planned; run the study again")
    make = load_ours(declaration.code) if digest is None else load_object(declaration.code, plugin_paths)
    return cast("Task", make(config, datasets, data_root, device, channels_last))
