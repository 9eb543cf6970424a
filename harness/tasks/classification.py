"""Classification: images and labels on the device, cross-entropy, accuracy, and what is observed on the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from harness.attempt.data import DatasetDeclaration
from harness.attempt.messages import EvaluationSpec
from harness.base.errors import HarnessError
from harness.data.augment import training_images
from harness.data.dataset import Arrays, load_dataset
from harness.models.build import build_model
from harness.tasks.base import Evaluated, Seen, Streams
from harness.tasks.precision import autocast
from harness.trial.evaluations import evaluation_of
from harness.trial.tasks import Clean

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
        self.examples = len(self.train)
        self._images = training_images(self.train.images, protocol["augmentation"])
        self._own, self._data_root = datasets[0].name, data_root
        self._declared = {declared.name: declared for declared in datasets}
        self._splits = splits
        self._memory_format = torch.channels_last if channels_last else torch.contiguous_format
        normalization = protocol["normalization"]
        self._mean = torch.tensor(normalization["mean"], device=device).view(1, -1, 1, 1)
        self._deviation = torch.tensor(normalization["deviation"], device=device).view(1, -1, 1, 1)
        self._precision = protocol["precision"]
        looked_at = "test" if trained_on == "train" else "validation"
        self.observed = evaluation_of(datasets[0].splits[looked_at], Clean().canonical())
        self._looked_at = self.split(looked_at)

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

    def begin_epoch(self, stream: Streams) -> None:
        """Draw the epoch's augmentation from the stream for its purpose."""
        self._images.begin_epoch(stream("augment"))

    def begin_step(self, count: int, stream: Streams) -> None:
        """Draw nothing."""

    def loss(self, model: nn.Module, index: Tensor) -> Tensor:
        """Return the mean cross-entropy of the training images at `index`, int64 (B,) on the device."""
        return F.cross_entropy(self._logits(model, self._images(index)), self.train.labels[index])

    @torch.no_grad()
    def evaluate(self, model: nn.Module, on: EvaluationSpec) -> Evaluated:
        """Evaluate a whole split in batches: accuracy, loss, and whether each image was classified correctly."""
        observed = (on.dataset, on.split) == (self._own, self.observed.split)
        return self.evaluate_images(model, self._looked_at if observed else self.split(on.split, on.dataset))

    @torch.no_grad()
    def evaluate_images(self, model: nn.Module, data: DeviceImages) -> Evaluated:
        """Evaluate images that are on the device."""
        losses, correct = [], []
        for images, labels in self._batches(data):
            logits = self._logits(model, images)
            losses.append(F.cross_entropy(logits, labels, reduction="none"))
            correct.append(logits.argmax(1) == labels)  # a NaN is nobody's largest: argmax then names the first NaN
        all_losses, all_correct = torch.cat(losses), torch.cat(correct)
        finite = bool(torch.isfinite(all_losses).all())
        loss = float(all_losses.double().mean()) if finite else float("nan")
        accuracy = float(all_correct.double().mean())
        return Evaluated({"accuracy": accuracy, "loss": loss}, {"correct": all_correct.cpu().numpy()})

    @torch.no_grad()
    def glimpse(self, model: nn.Module) -> Sequence[Seen]:
        """Look at the first observed images: accuracy, mean and variance over all units of the last hidden layer."""
        data = self._looked_at.first(OBSERVED_ACCURACY)
        correct, hidden, seen = [], [], 0
        for images, labels in self._batches(data):
            features = self._features(model, images)
            correct.append(features.logits.argmax(1) == labels)
            hidden.append(features.hidden[: max(0, OBSERVED_HIDDEN - seen)])
            seen += len(labels)
        units = torch.cat(hidden).double()
        accuracy = torch.cat(correct).double().mean()
        split = self.observed.split
        return (
            (f"{split}[:{OBSERVED_ACCURACY}]", "accuracy", float(accuracy)),
            (f"{split}[:{OBSERVED_HIDDEN}]", "hidden_mean", float(units.mean())),
            (f"{split}[:{OBSERVED_HIDDEN}]", "hidden_variance", float(units.var(correction=0))),
        )

    @torch.no_grad()
    def keepsakes(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """Return the first observed image of each class and its maps before the fully connected layers (Fig. 5).

        images: uint8 (classes, C, H, W); maps: float16 (classes, C', H', W'); labels: int64 (classes,).
        """
        labels = self._looked_at.labels.cpu()
        first = [int((labels == label).nonzero()[0]) for label in sorted(set(labels.tolist()))]
        images = self._looked_at.images[first]
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
