"""Checkpoints: all that an attempt needs to go on as if it had never stopped, written whole and with a checksum."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from harness.attempt.checkpoints import check_file, sealed_open
from harness.attempt.messages import AttemptRequest, Point
from harness.training.environment import device_name, library_versions
from harness.trial.attempt_digest import attempt_digest


@dataclass
class Progress:
    """Where an attempt is, between two steps."""

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done in the epoch under way
    step: int = 0  # batches done in all
    images: int = 0  # images seen in all
    loss_sum: float = 0.0  # of the batches since the last point of the training loss
    loss_count: int = 0
    train_seconds: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """A state of training. `compatible` is what must be equal for an attempt to be resumed bit for bit."""

    progress: Progress
    curve: tuple[Point, ...]
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    torch_rng: torch.Tensor
    cuda_rng: torch.Tensor | None
    compatible: Mapping[str, Any]


def compatible(request: AttemptRequest, device: torch.device) -> dict[str, Any]:
    """Return what must be equal for a checkpoint to be resumed to the same bits."""
    execution = request.execution
    return {
        "trial_key": request.trial_key,
        "seed": request.seed,
        "code_digest": attempt_digest(request.config, request.datasets, device=execution.device),
        "device": device_name(device),
        "threads": execution.threads,
        "memory_format": execution.memory_format,
        "kernels": execution.kernels,
        "order": execution.order,
        "compile": execution.compile,
        "capture": execution.capture,
        "processes": execution.processes,
        "deterministic": execution.deterministic,
        "libraries": dict(library_versions()),
    }


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, with its checksum."""
    state = {
        **{field: getattr(checkpoint, field) for field in ("torch_rng", "cuda_rng")},
        "model": dict(checkpoint.model),
        "optimizer": dict(checkpoint.optimizer),
        "progress": asdict(checkpoint.progress),
        "curve": [asdict(point) for point in checkpoint.curve],
        "compatible": dict(checkpoint.compatible),
    }
    with sealed_open(path) as file:
        torch.save(state, file)


def load_checkpoint(path: Path, wanted: Mapping[str, Any] | None = None) -> Checkpoint | None:
    """Read a checkpoint onto the CPU; None if there is none, or it is not `compatible` with what is wanted.

    Raises DamagedError if it is not what was written.
    """
    if not path.exists():
        return None
    check_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if wanted is not None and state["compatible"] != wanted:
        return None
    state["progress"] = Progress(**state["progress"])
    state["curve"] = tuple(Point(**point) for point in state["curve"])
    return Checkpoint(**state)
