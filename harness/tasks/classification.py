"""Classification: images and labels on the device, cross-entropy, accuracy, and what is observed on the way.

A task knows its data, model, loss and metrics; how it is trained is the loop's business.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.data.augment import training_images
from harness.data.dataset import Arrays, load_dataset
from harness.models.build import build_model
from harness.spec.attempt import EvaluationSpec, Sample
from harness.spec.datasets import DatasetDeclaration
from harness.spec.errors import HarnessError
from harness.tasks.precision import autocast

EVALUATION_BATCH = {"cpu": 500, "cuda": 2_500}  # as many as help; a GPU needs a few batches for a whole test set
OBSERVED_ACCURACY, OBSERVED_HIDDEN = (
    2_000,
    1_000,
)  # the first images, in canonical order, that are looked at on the way


class Observable(Protocol):
    """What a classification network shows: the maps before the first fully connected layer and the last hidden one."""

    maps: Tensor  # (N, C, H, W)
    hidden: Tensor  # (N, D)
    logits: Tensor  # (N, classes)


@dataclass(frozen=True)
class DeviceImages:
    """A split on the device: images uint8 (N, C, H, W), labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "DeviceImages":
        """Return the first `count` images, or all where there are fewer."""
        return DeviceImages(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Evaluated:
    """An evaluation's metrics, and whether each image was classified correctly: bool (N,)."""

    accuracy: float
    loss: float
    correct: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Glimpse:
    """What is seen of a network while it learns (Fig. 6): over the first images, never over all."""

    accuracy: float
    hidden_mean: float
    hidden_variance: float


class Classification:
    """The task of one trial on one device. `datasets` begins with what is trained on."""

    def __init__(
        self,
        config: Mapping[str, Any],
        datasets: Sequence[DatasetDeclaration],
        data_root: Path,
        device: torch.device,
        channels_last: bool,
    ) -> None:
        protocol = config["protocol"]
        splits = load_dataset(datasets[0], data_root)
        trained_on = "train" if protocol["train_on"] == "all" else "rest"
        self.device = device
        self.train = self._on_device(splits[trained_on])
        self._images = training_images(self.train.images, protocol["augmentation"])
        self._own, self._data_root = datasets[0].name, data_root
        self._declared = {declared.name: declared for declared in datasets}
        self._splits = splits
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        normalization = protocol["normalization"]
        self._mean = torch.tensor(normalization["mean"], device=device).view(1, -1, 1, 1)
        self._deviation = torch.tensor(normalization["deviation"], device=device).view(1, -1, 1, 1)
        self._precision = protocol["precision"]
        self.observed_split = "test" if trained_on == "train" else "validation"
        self.observed = self.split(self.observed_split)

    def model(
        self, config: Mapping[str, Any], plugin_paths: Sequence[str], files: Mapping[str, str] | None = None
    ) -> nn.Module:
        """Build the trial's network on the device, not yet initialised. `files`: where weights lie, by their digest."""
        with torch.random.fork_rng(devices=[]):
            network = build_model(config, plugin_paths, files or {})
        return network.to(self.device, memory_format=self._memory_format)  # type: ignore[call-overload, no-any-return]

    def split(self, name: str, dataset: str | None = None) -> DeviceImages:
        """Return a split of the data, or of another dataset, on the device. Searching code never asks for `test`."""
        if dataset is None or dataset == self._own:
            return self._on_device(self._splits[name])
        return self._on_device(load_dataset(self._declared[dataset], self._data_root)[name])

    def begin_epoch(self, stream: Callable[[str], torch.Generator]) -> None:
        """Draw the epoch's augmentation from the stream for its purpose."""
        self._images.begin_epoch(stream("augment"))

    def loss(self, model: nn.Module, index: Tensor) -> Tensor:
        """Return the mean cross-entropy of the training images at `index`, int64 (B,) on the device."""
        return F.cross_entropy(self._logits(model, self._images(index)), self.train.labels[index])

    @torch.no_grad()
    def evaluate(self, model: nn.Module, data: DeviceImages) -> Evaluated:
        """Evaluate a whole split in batches."""
        losses, correct = [], []
        for images, labels in self._batches(data):
            logits = self._logits(model, images)
            losses.append(F.cross_entropy(logits, labels, reduction="none"))
            correct.append(logits.argmax(1) == labels)  # a NaN is nobody's largest: argmax then names the first NaN
        all_losses, all_correct = torch.cat(losses), torch.cat(correct)
        finite = bool(torch.isfinite(all_losses).all())
        loss = float(all_losses.double().mean()) if finite else float("nan")
        return Evaluated(float(all_correct.double().mean()), loss, all_correct.cpu().numpy())

    @torch.no_grad()
    def glimpse(self, model: nn.Module) -> Glimpse:
        """Look at the first observed images: accuracy, mean and variance over all units of the last hidden layer."""
        data = self.observed.first(OBSERVED_ACCURACY)
        correct, hidden, seen = [], [], 0
        for images, labels in self._batches(data):
            features = self._features(model, images)
            correct.append(features.logits.argmax(1) == labels)
            hidden.append(features.hidden[: max(0, OBSERVED_HIDDEN - seen)])
            seen += len(labels)
        units = torch.cat(hidden).double()
        accuracy = torch.cat(correct).double().mean()
        return Glimpse(float(accuracy), float(units.mean()), float(units.var(correction=0)))

    @torch.no_grad()
    def maps(self, model: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
        """Return the first observed image of each class and its maps before the fully connected layers (Fig. 5).

        images: uint8 (classes, C, H, W); maps: float16 (classes, C', H', W'); labels: int64 (classes,).
        """
        labels = self.observed.labels.cpu()
        first = [int((labels == label).nonzero()[0]) for label in sorted(set(labels.tolist()))]
        images = self.observed.images[first]
        maps = self._features(model, images).maps
        return {
            "images": images.cpu().numpy(),
            "maps": maps.to("cpu", torch.float16).contiguous().numpy(),
            "labels": labels[first].numpy(),
        }

    def _features(self, model: nn.Module, images: Tensor) -> Observable:
        features = getattr(model, "features", None)
        if features is None:
            raise HarnessError(f"the model {type(model).__name__} has no method 'features' to observe")
        with autocast(self._precision, self.device):
            return cast("Observable", features(self._prepared(images)))

    def _logits(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return fp32 logits (B, classes) of images uint8 (B, C, H, W)."""
        with autocast(self._precision, self.device):
            return cast("Tensor", model(self._prepared(images))).float()

    def _prepared(self, images: Tensor) -> Tensor:
        """Return images uint8 (B, C, H, W) as normalised fp32, in the memory format of the execution."""
        scaled = images.to(torch.float32).div_(255)
        return scaled.sub_(self._mean).div_(self._deviation).contiguous(memory_format=self._memory_format)

    def _batches(self, data: DeviceImages) -> Iterator[tuple[Tensor, Tensor]]:
        size = EVALUATION_BATCH.get(self.device.type, 500)
        for start in range(0, len(data), size):
            stop = start + size
            yield data.images[start:stop], data.labels[start:stop]

    def _on_device(self, arrays: Arrays) -> DeviceImages:
        images = torch.from_numpy(np.ascontiguousarray(arrays.images))
        return DeviceImages(images.to(self.device), torch.from_numpy(arrays.labels).to(self.device))


def correct_sample(evaluation: EvaluationSpec, evaluated: Evaluated) -> Sample:
    """Return which images were classified correctly, packed a bit an image in canonical order."""
    packed = np.packbits(evaluated.correct).tobytes()
    return Sample(evaluation.key, "correct", len(evaluated.correct), "bits", packed)
