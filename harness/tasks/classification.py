"""Classification: images and labels on the device, cross-entropy, accuracy, and what is observed on the way.

Evaluated under attack, or behind a denoiser, images are changed as pixels on 0…255 before they are normalised:

    images → attack, rounded → denoiser → normalised → network
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from harness.data.augment import TrainingImages, training_images
from harness.data.crops import ResizedCrops, WholeImages, centre_crops, load_splits, uncropped
from harness.data.dataset import Arrays
from harness.data.own.scaled import ScaledImages
from harness.plugins.plugin import load_ours
from harness.tasks.base import Evaluated, Seen, Streams, memory_format_of, network_of
from harness.tasks.parts import ByItem
from harness.tasks.precision import autocast
from harness.trial.evaluations import evaluation_of
from harness.trial.models import input_scales, own_classes
from harness.trial.tasks import MANY_CLASSES, Clean

EVALUATION_BATCH = {"cpu": 500, "cuda": 2_500}  # as many as help; a GPU needs a few batches for a whole test set
OBSERVED_ACCURACY, OBSERVED_HIDDEN = (
    2_000,
    1_000,
)  # the first images, in canonical order, that are looked at on the way


_ATTACKED = "harness.tasks.attacked:Attacked"  # by name: an edit of an attack makes no trained network stale
_AT_ONCE = 2**19  # pixels that are attacked at once: 512 images of 32×32, 10 of 224×224


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
        """Return the first `count` images, or all if there are fewer."""
        return DeviceImages(self.images[:count], self.labels[:count])

    def after(self, start: int) -> "DeviceImages":
        """Return the images from number `start` on."""
        return DeviceImages(self.images[start:], self.labels[start:])

    @property
    def pixels_each(self) -> int:
        """Height times width of an image."""
        return self.images.shape[2] * self.images.shape[3]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.images[start : start + size], self.labels[start : start + size]

    def at(self, places: Sequence[int]) -> Tensor:
        """Return the images at some places: uint8 (B, C, H, W)."""
        return self.images[places]


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
        self.device = device
        self._data_root = data_root
        self._declared = {declared.name: declared for declared in datasets}
        self._loaded: dict[str, Mapping[str, Arrays] | Mapping[str, ScaledImages]] = {}
        self._memory_format = memory_format_of(channels_last)
        self._files: Mapping[str, str] = {}
        self._own = datasets[0].name
        self._model = config["model"]
        self._counts_top5 = datasets[0].classes > MANY_CLASSES
        self.examples = 0
        self.observed: EvaluationSpec
        self.train: DeviceImages | WholeImages
        self._normalise(input_scales(config["model"]) or {"mean": [0.0], "deviation": [1.0]})
        self._precision = "fp32"
        if "protocol" in config:
            self._make_training(config["protocol"], datasets[0])

    def _make_training(self, protocol: Mapping[str, Any], own: DatasetDeclaration) -> None:
        """Load what is trained on."""
        splits = self._loaded[own.name] = load_splits(own, self._data_root)
        trained_on = "train" if protocol["train_on"] == "all" else "rest"
        self.train, self._images = self._to_train_on(splits[trained_on], protocol["augmentation"])
        self.examples = len(self.train)
        if protocol["normalization"] != "none":
            self._normalise(protocol["normalization"])
        self._precision = protocol["precision"]
        self._label_smoothing = protocol.get("label_smoothing", 0.0)
        looked_at = "test" if trained_on == "train" else "validation"
        self.observed = evaluation_of(own.splits[looked_at], Clean().canonical())
        self._looked_at = self.split(looked_at)
        self._glimpsed: DeviceImages | None = None  # its first images

    def _normalise(self, normalization: Mapping[str, Any]) -> None:
        self._mean = torch.tensor(normalization["mean"], device=self.device).view(1, -1, 1, 1)
        self._deviation = torch.tensor(normalization["deviation"], device=self.device).view(1, -1, 1, 1)

    def model(
        self, config: Mapping[str, Any], plugin_paths: Sequence[str], files: Mapping[str, str] | None = None
    ) -> nn.Module:
        """Build the trial's network on the device, not yet initialised. `files`: where weights lie, by their digest."""
        self._files = files or {}
        return network_of(config, plugin_paths, self._files, self.device, self._memory_format)

    def split(self, name: str, dataset: str | None = None) -> DeviceImages | WholeImages:
        """Return a split of the data, or of another dataset, on the device. Searching code never asks for `test`."""
        name_of_data = self._own if dataset is None else dataset
        if name_of_data not in self._loaded:
            self._loaded[name_of_data] = load_splits(self._declared[name_of_data], self._data_root)
        return self._on_device(self._loaded[name_of_data][name])

    def begin_epoch(self, stream: Streams) -> None:
        """Draw the epoch's augmentation from the stream for its purpose."""
        self._images.begin_epoch(stream("augment"))

    def read_ahead(self, batches: Sequence[Tensor]) -> None:
        """Begin to decode what the epoch's steps will ask for, unless it is held."""
        if isinstance(self._images, ResizedCrops):
            self._images.read_ahead(batches)

    def begin_step(self, count: int, stream: Streams) -> None:  # noqa: ARG002 - as a task is asked
        """Draw nothing; bring the images of the step to the device, unless they are there."""
        if isinstance(self._images, ResizedCrops):
            self._images.begin_step()

    def share(self, part: slice) -> None:
        """Take note of where the share lies in a batch that is decoded on the way; all else belongs to images."""
        if isinstance(self._images, ResizedCrops):
            self._images.share(part)

    def loss(self, model: nn.Module, index: Tensor) -> Tensor:
        """Return the mean cross-entropy of the training images at `index`, int64 (B,) on the device."""
        logits = self._logits(model, self._images(index))
        return F.cross_entropy(logits, self.train.labels[index], label_smoothing=self._label_smoothing)

    def evaluate(self, model: nn.Module, on: EvaluationSpec) -> Evaluated:
        """Evaluate a whole split in batches: accuracy, loss, and whether each image was classified correctly."""
        parts = list(self.parts(model, on))
        return self.joined(on, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    @torch.no_grad()
    def parts(self, model: nn.Module, on: EvaluationSpec, start: int = 0) -> Iterator[ByItem]:
        """Evaluate the images of a split from number `start` on, some at a time: the loss and what was right of each.

        A network of more classes than the data names one of all; `correct_own_classes` is what it names among theirs.
        """
        data = self._data(on)
        own = self._own_classes(on.dataset)
        clean = dict(on.condition) == Clean().canonical()
        attacked = None if clean else self._attacked(model, on)
        for images, labels in self._batches(data.after(start) if start else data, None if clean else _AT_ONCE):
            wanted = labels if own is None else own[labels]
            pixels = images if attacked is None else attacked(images, wanted)
            yield self._found(model, pixels, wanted, own)

    def joined(self, on: EvaluationSpec, by_item: ByItem) -> Evaluated:  # noqa: ARG002 - the same for every evaluation
        """Return the means of the values of all images of a split."""
        return _evaluated(by_item)

    @torch.no_grad()
    def _found(self, model: nn.Module, images: Tensor, labels: Tensor, own: Tensor | None = None) -> ByItem:
        """Return the loss of each image and whether it is classified correctly, among all classes and among `own`."""
        logits = self._logits(model, images)
        found = {
            "correct": logits.argmax(1) == labels,  # a NaN is nobody's largest: argmax then names the first NaN
            "loss": F.cross_entropy(logits, labels, reduction="none"),
        }
        if self._counts_top5:
            found["correct_top5"] = in_first_five(logits, labels)
        if own is not None:
            found["correct_own_classes"] = own[logits[:, own].argmax(1)] == labels
        return {name: values.cpu().numpy() for name, values in found.items()}

    def _attacked(self, model: nn.Module, on: EvaluationSpec) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what an evaluation's condition makes of images before the network."""

        def training(count: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
            for images, labels in self.train.batches(size):
                yield images[:count].to(torch.float32), labels[:count]
                count -= len(labels)
                if count <= 0:
                    return

        change: Callable[[Tensor, Tensor], Tensor] = load_ours(_ATTACKED)(
            on.condition,
            lambda pixels: self._logits(model, pixels),
            training if self.examples else None,
            self._files,
            self.device,
        )
        return change

    def _data(self, on: EvaluationSpec) -> DeviceImages | WholeImages:
        if self.examples and (on.dataset, on.split) == (self._own, self.observed.split):
            return self._looked_at
        return self.split(on.split, on.dataset)

    def _own_classes(self, dataset: str) -> Tensor | None:
        """Return the network's class of each of a dataset's, (classes,); None if they are the same."""
        found = own_classes(self._model, self._declared[dataset].class_names)
        return None if found is None else torch.tensor(found, device=self.device)

    @torch.no_grad()
    def glimpse(self, model: nn.Module) -> Sequence[Seen]:
        """Look at the first observed images: accuracy, mean and variance over all units of the last hidden layer."""
        data = self._first_looked_at()
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

        Nothing of a network that was not trained.

        images: uint8 (classes, C, H, W); maps: float16 (classes, C', H', W'); labels: int64 (classes,).
        """
        if not self.examples:
            return {}
        labels = self._looked_at.labels.cpu()
        first = [int((labels == label).nonzero()[0]) for label in sorted(set(labels.tolist()))]
        images = self._looked_at.at(first)
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
        """Return fp32 logits (B, classes) of images (B, C, H, W), uint8 or float on 0…255."""
        with autocast(self._precision, self.device):
            return cast("Tensor", model(self._prepared(images))).float()

    def _prepared(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W) as normalised fp32, in the memory format of the execution."""
        scaled = images / 255 if images.is_floating_point() else images.to(torch.float32).div_(255)
        return scaled.sub_(self._mean).div_(self._deviation).contiguous(memory_format=self._memory_format)

    def _batches(self, data: DeviceImages | WholeImages, pixels: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches as large as helps, or of so many pixels, at least one image."""
        size = EVALUATION_BATCH.get(self.device.type, 500)
        if pixels is not None:
            size = max(1, pixels // data.pixels_each)
        return data.batches(size)

    def _first_looked_at(self) -> DeviceImages:
        """Return the first images of the observed split, which stay on the device."""
        if self._glimpsed is None:
            data, count = self._looked_at, min(len(self._looked_at), OBSERVED_ACCURACY)
            if isinstance(data, WholeImages):
                data = DeviceImages(data.at(range(count)), data.labels[:count])
            self._glimpsed = data.first(count)
        return self._glimpsed

    def _to_train_on(
        self, data: Arrays | ScaledImages, augmentation: str | Mapping[str, Any]
    ) -> tuple[DeviceImages | WholeImages, TrainingImages]:
        """Return the training split, and its images under an augmentation.

        Raises HarnessError for images that are not held if other crops of them are wanted than random ones.
        """
        if isinstance(augmentation, Mapping) and augmentation["kind"] == "resized_crop":
            whole = data if isinstance(data, ScaledImages) else uncropped(data)
            return WholeImages(whole, self.device), ResizedCrops(whole, augmentation, self.device)
        train = self._on_device(data)
        if isinstance(train, WholeImages):
            raise HarnessError(
                "the training images do not fit into memory: write 'augmentation: {kind: resized_crop}' into the "
                "protocol, or a smaller 'short_side' and 'size' into the dataset"
            )
        return train, training_images(train.images, augmentation)

    def _on_device(self, arrays: Arrays | ScaledImages) -> DeviceImages | WholeImages:
        if isinstance(arrays, ScaledImages):
            if arrays.pixels is None:
                return WholeImages(arrays, self.device)
            arrays = Arrays(np.concatenate([crops for _, crops in centre_crops(arrays, 1000)]), arrays.labels)
        images = torch.from_numpy(np.ascontiguousarray(arrays.images))
        return DeviceImages(images.to(self.device), torch.from_numpy(arrays.labels).to(self.device))


def in_first_five(logits: Tensor, labels: Tensor) -> Tensor:
    """Return whether the label's logit is among the five largest, bool (B,), of logits (B, classes).

    It is if fewer than five others are as large: ties count against it, and so does what is not a number.
    """
    own = logits.gather(1, labels[:, None])  # (B, 1)
    return (~(logits < own)).sum(1) <= 5  # its own among them; a NaN is never smaller


def _evaluated(by_item: ByItem) -> Evaluated:
    """Return the evaluation that the values of all images make."""
    losses = torch.from_numpy(by_item["loss"])
    right = {name: values for name, values in by_item.items() if name != "loss"}
    finite = bool(torch.isfinite(losses).all())
    metrics = {
        "accuracy": float(by_item["correct"].mean(dtype=np.float64)),
        "loss": float(losses.double().mean()) if finite else float("nan"),
    }
    for name, metric in (("correct_top5", "top5_accuracy"), ("correct_own_classes", "accuracy_own_classes")):
        if name in right:
            metrics[metric] = float(right[name].mean(dtype=np.float64))
    return Evaluated(metrics, right)
