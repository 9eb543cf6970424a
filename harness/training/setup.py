"""From a request to a task and a network at its start."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from harness.spec.attempt import AttemptRequest
from harness.spec.datasets import DATASETS
from harness.spec.errors import HarnessError
from harness.tasks.classification import Classification
from harness.training.checkpoint import Progress
from harness.training.initialise import initialise
from harness.training.loop import Schedule, Training
from harness.training.optimizer import build_optimizer
from harness.training.streams import seed_libraries

SUPPORTED_PRECISIONS = ("fp32",)


@dataclass(frozen=True)
class Setup:
    """A task with its network, initialised from the run's seed."""

    task: Classification
    model: nn.Module


def set_up(request: AttemptRequest, device: torch.device) -> Setup:
    """Load the data, build the network and initialise it. Raises HarnessError for a precision that is not trained."""
    protocol = request.config["protocol"]
    if protocol["precision"] not in SUPPORTED_PRECISIONS:
        raise HarnessError(
            f"precision '{protocol['precision']}' is not trained yet; {', '.join(SUPPORTED_PRECISIONS)} is"
        )
    declared = DATASETS[request.dataset].splits["train"].fingerprint
    if request.config["data"]["train"] != declared:
        raise HarnessError(f"'{request.dataset}' is not the training data of trial {request.trial_key}")
    task = Classification(
        request.config,
        request.dataset,
        Path(request.data_root),
        device,
        channels_last=request.execution.memory_format == "channels_last",
    )
    seed_libraries(request.seed)
    model = task.model(request.config, request.plugin_paths)
    initialise(model, protocol["initialization"], request.seed)
    return Setup(task, model)


def training(setup: Setup, request: AttemptRequest, progress: Progress) -> Training:
    """Return the network of `setup` ready to be trained by the request's protocol from `progress` on."""
    protocol = request.config["protocol"]
    return Training(
        task=setup.task,
        model=setup.model,
        optimizer=build_optimizer(protocol["optimizer"], setup.model.parameters()),
        schedule=Schedule.of(protocol, len(setup.task.train)),
        seed=request.seed,
        progress=progress,
    )
