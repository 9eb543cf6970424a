"""What training, evaluation and timing know of a task. None of them names one.

A task is one trial's data, network, loss and metrics on one device. `harness.trial.tasks` declares tasks without torch.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.attempt.messages import EvaluationSpec, Sample
from harness.models.build import build_model

Streams = Callable[[str], torch.Generator]
"""Gives the random stream of a purpose, from the run's seed and where the training is; the same on every device."""

Seen = tuple[str, str, float]
"""A point of a curve: the split that was looked at, what was seen, its value."""


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found. The primary metric is first in `metrics`.

    `by_item` has one value per item in canonical order, (N,): bool, which is stored as bits, or float32.
    """

    metrics: Mapping[str, float]
    by_item: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Task(Protocol):
    """One trial's task on one device.

    It is made by `Task(config, datasets, data_root, device, channels_last)`: the trial's resolved configuration, its
    datasets (what is trained on first), the folder in which data lie, and the memory format of maps.
    """

    device: torch.device
    examples: int
    """How many an epoch visits."""
    observed: EvaluationSpec
    """What is evaluated after each epoch, and timed: never test data where a trial chooses something by validation."""

    def model(self, config: Mapping[str, Any], plugin_paths: Sequence[str], files: Mapping[str, str]) -> nn.Module:
        """Build the trial's network on the device, not yet initialised. `files`: where weights lie, by their digest."""

    def begin_epoch(self, stream: Streams) -> None:
        """Draw what an epoch draws at its beginning, such as crops and flips."""

    def begin_step(self, count: int, stream: Streams) -> None:
        """Draw what a step on `count` examples draws, such as noise, into tensors that stay where they are.

        So a step can be captured once and replayed.
        """

    def loss(self, model: nn.Module, index: Tensor) -> Tensor:
        """Return the mean loss, a scalar, of the training examples at `index`, int64 (B,) on the device."""

    def evaluate(self, model: nn.Module, on: EvaluationSpec) -> Evaluated:
        """Evaluate a network, in evaluation mode, on all of a split under a condition."""

    def glimpse(self, model: nn.Module) -> Sequence[Seen]:
        """Look at a network while it learns, without changing anything; the primary metric first."""

    def keepsakes(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """Return arrays that a report shows, such as maps or pictures; none for {}."""


class SharedTask(Task, Protocol):
    """A task whose batches several processes can share: each calls `loss` with the indices of its share alone."""

    def share(self, part: slice) -> None:
        """Say which examples of the batch those will be, so that `loss` takes what `begin_step` drew for them."""


@runtime_checkable
class ReadsAhead(Protocol):
    """A task that is told which examples an epoch's steps will ask for, so that it can have them ready."""

    def read_ahead(self, batches: Sequence[Tensor]) -> None:
        """Take the indices of the epoch's batches from the next step on, in order: int64 (B,) each."""


def content_stream(image: NDArray[np.uint8], *words: int) -> np.random.Generator:
    """Return the random stream of an image uint8 (C, H, W), from its content and some numbers, such as a seed.

    NumPy's Philox gives the same numbers on every platform.
    """
    head = f"{' '.join(map(str, words))} {','.join(map(str, image.shape))}\n".encode()
    key = int.from_bytes(hashlib.sha256(head + np.ascontiguousarray(image).tobytes()).digest()[:16], "big")
    return np.random.Generator(np.random.Philox(key=key))


def memory_format_of(channels_last: bool) -> torch.memory_format:
    """Return the memory format of a task's images and maps."""
    return torch.channels_last if channels_last else torch.contiguous_format


def network_of(
    config: Mapping[str, Any],
    plugin_paths: Sequence[str],
    files: Mapping[str, str],
    device: torch.device,
    memory_format: torch.memory_format,
) -> nn.Module:
    """Return a trial's network on a device, not yet initialised: torch's random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        network = build_model(config, plugin_paths, files)
    return network.to(device, memory_format=memory_format)  # type: ignore[call-overload, no-any-return]


def samples(evaluation: EvaluationSpec, evaluated: Evaluated) -> tuple[Sample, ...]:
    """Return an evaluation's values by item as they are stored: a bit each, or float32, little-endian."""
    return tuple(_sample(evaluation, name, values) for name, values in evaluated.by_item.items())


def _sample(evaluation: EvaluationSpec, name: str, values: NDArray[Any]) -> Sample:
    if values.dtype == np.bool_:
        return Sample(evaluation.key, name, len(values), "bits", np.packbits(values).tobytes())
    return Sample(evaluation.key, name, len(values), "float32", values.astype("<f4").tobytes())
