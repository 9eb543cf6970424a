"""Denoising: white Gaussian noise on images, the mean squared error of the estimate, PSNR and SSIM image by image.

Section 4.2 of the paper. A denoiser is a module `(noisy, sigma) → estimate`, images (N, C, H, W) and sigma (N,) both on
the scale 0…255. Noise is added to the pixels and neither clipped nor rounded, unless a condition says so; the estimate
is clipped to 0…255 and rounded before it is measured.

Training noise is drawn on the CPU, by epoch and step, so that it is the same on every device. The noise of an
evaluation follows from the condition's `noise_seed` and the image's content, so that every method sees the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.attempt.data import DatasetDeclaration
from harness.attempt.messages import EvaluationSpec
from harness.base.errors import HarnessError
from harness.data.augment import RandomPatches, TrainingImages, training_images
from harness.data.photographs import load_images
from harness.tasks.base import Evaluated, Seen, Streams, content_stream, memory_format_of, network_of
from harness.tasks.parts import ByItem
from harness.tasks.precision import autocast
from harness.tasks.quality import psnr_db, ssim
from harness.trial.evaluations import evaluation_of
from harness.trial.tasks import DENOISING, DenoisingOptions

Images = Sequence[NDArray[np.uint8]]  # each (C, H, W)

_AT_ONCE = 2**19  # pixels that are denoised at once: 512 images of 32×32, three of 481×321
_GLIMPSED, _CROP = 2**17, 64  # pixels that are looked at while training, and the edge of the crops that they are from
_KEPT, _KEPT_CROP = 4, 128  # images of which pictures are kept, and the edge of their crops


class Level(NamedTuple):
    """The noise of an evaluation."""

    sigma: float  # standard deviation, 0…255
    clip: bool = False
    round: bool = False
    noise_seed: int = 0

    @classmethod
    def of(cls, condition: Mapping[str, Any]) -> "Level":
        """Return the noise of a canonical condition."""
        return cls(**{name: value for name, value in condition.items() if name != "kind"})

    def noisy(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Return clean images on 0…255 with noise, which is standard normal: both of one shape."""
        noisy = clean + self.sigma * noise
        noisy = noisy.clamp(0, 255) if self.clip else noisy
        return noisy.round() if self.round else noisy


def noise_of(image: NDArray[np.uint8], noise_seed: int) -> Tensor:
    """Return the noise of an image uint8 (C, H, W): float32 (C, H, W), standard normal, from its content and a seed.

    NumPy's Philox and ziggurat give the same numbers on every platform.
    """
    return torch.from_numpy(content_stream(image, noise_seed).standard_normal(image.shape, dtype=np.float32))


def with_noise(image: NDArray[np.uint8], level: Level) -> Tensor:
    """Return an image uint8 (C, H, W) with its noise, float32 (C, H, W), as an evaluation sees it."""
    return level.noisy(torch.tensor(image).float(), noise_of(image, level.noise_seed))


class Denoising:
    """The task of one trial on one device. `datasets` begins with what is trained on, if the trial has a protocol."""

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
        self._loaded: dict[str, Mapping[str, Images]] = {}
        self._memory_format = memory_format_of(channels_last)
        self.examples = 0
        self.observed: EvaluationSpec
        if "protocol" in config:
            self._make_training(config["task"], config["protocol"], datasets)

    def _make_training(
        self, task: Mapping[str, Any], protocol: Mapping[str, Any], datasets: Sequence[DatasetDeclaration]
    ) -> None:
        """Load what is trained on, and prepare where its noise is drawn."""
        device, own = self.device, datasets[0]
        self._precision = protocol["precision"]
        options = DenoisingOptions.model_validate({k: v for k, v in task.items() if k not in {"kind", "code"}})
        self._sigma, self._clip = options.sigma, options.clip
        self._loaded[own.name] = load_images(own, self._data_root)
        trained_on = self._loaded[own.name]["train" if protocol["train_on"] == "all" else "rest"]
        self._images = _training_images(trained_on, protocol["augmentation"], device)
        self.examples = len(self._images) if isinstance(self._images, RandomPatches) else len(trained_on)
        self._shape = self._images(torch.zeros(1, dtype=torch.int64, device=device)).shape[1:]  # of an example
        self._noise = torch.zeros(0, *self._shape, device=device)
        self._levels = torch.zeros(0, device=device)
        self._first = 0  # of what was drawn for a step: where that of the examples of `loss` begins
        looked_at = _looked_at(datasets, protocol["train_on"])
        usual = DENOISING.usual(options)
        assert usual is not None  # noqa: S101 - a trial that trains has a noise level
        self.observed = evaluation_of(looked_at, usual.canonical())

    def model(
        self, config: Mapping[str, Any], plugin_paths: Sequence[str], files: Mapping[str, str] | None = None
    ) -> nn.Module:
        """Build the trial's network on the device, not yet initialised. `files`: where weights lie, by their digest."""
        return network_of(config, plugin_paths, files or {}, self.device, self._memory_format)

    def images(self, on: EvaluationSpec) -> Images:
        """Return the images of a split in canonical order, each uint8 (C, H, W)."""
        if on.dataset not in self._loaded:
            self._loaded[on.dataset] = load_images(self._declared[on.dataset], self._data_root)
        return self._loaded[on.dataset][on.split]

    def begin_epoch(self, stream: Streams) -> None:
        """Draw the epoch's patches, or flips and crops, from the stream for their purpose."""
        self._images.begin_epoch(stream("augment"))

    def begin_step(self, count: int, stream: Streams) -> None:
        """Draw the noise of `count` examples, and of a blind network its level for each."""
        if len(self._noise) < count:
            self._noise = torch.zeros(count, *self._shape, device=self.device)
            self._levels = torch.zeros(count, device=self.device)
        if isinstance(self._sigma, float):
            levels = torch.full((count,), self._sigma)
        else:
            assert self._sigma is not None  # noqa: S101 - as in `_make_training`
            low, high = self._sigma.from_, self._sigma.to
            levels = low + (high - low) * torch.rand(count, generator=stream("sigma"))
        noise = torch.randn(count, *self._shape, generator=stream("noise")) * levels.view(-1, 1, 1, 1)
        self._noise[:count].copy_(noise)
        self._levels[:count].copy_(levels)
        self._first = 0

    def share(self, part: slice) -> None:
        """Let `loss` take the noise of these examples of the batch."""
        self._first = part.start

    def loss(self, model: nn.Module, index: Tensor) -> Tensor:
        """Return the mean squared error, on the scale 0…1, of the estimates of examples at `index`, int64 (B,)."""
        clean = self._prepared(self._images(index))  # (B, C, H, W)
        drawn = slice(self._first, self._first + len(index))
        noisy = clean + self._noise[drawn]
        if self._clip:
            noisy = noisy.clamp(0, 255)
        with autocast(self._precision, self.device):
            estimate = model(noisy, self._levels[drawn])
        return cast("Tensor", ((estimate.float() - clean) / 255).square().mean())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, on: EvaluationSpec) -> Evaluated:
        """Denoise all images of a split: mean PSNR [dB] and SSIM, and both of each image. It is computed in fp32.

        Images of fewer than 11 pixels in height or width have no SSIM (NaN), and do not count in its mean.
        """
        parts = list(self.parts(model, on))
        return self.joined(on, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    @torch.no_grad()
    def parts(self, model: nn.Module, on: EvaluationSpec, start: int = 0) -> Iterator[ByItem]:
        """Denoise the images of a split from number `start` on; yield PSNR and SSIM, float64 (B,), of a few at a time.

        A model that is `one_by_one` gets one image at a time.
        """
        images, level = self.images(on)[start:], Level.of(on.condition)
        for clean, noisy, sigma in self._noisy(images, level, _pixels_at_once(model)):
            estimate = as_pixels(model(noisy, sigma))
            found = {"psnr_db": psnr_db(estimate, clean), "ssim": ssim(estimate, clean)}
            yield {name: values.cpu().numpy() for name, values in found.items()}

    def joined(self, on: EvaluationSpec, by_item: ByItem) -> Evaluated:
        """Return the means of the values of all images of a split."""
        values = {name: torch.from_numpy(each) for name, each in by_item.items()}
        large = torch.tensor([min(image.shape[1:]) >= 11 for image in self.images(on)])
        metrics = {"psnr_db": float(values["psnr_db"].mean())}
        if bool(large.any()):
            metrics["ssim"] = float(values["ssim"][large].mean())
        return Evaluated(metrics, by_item)

    @torch.no_grad()
    def glimpse(self, model: nn.Module) -> Sequence[Seen]:
        """Look at the PSNR of crops from the middle of the first observed images."""
        images = self._crops(_CROP, _GLIMPSED // _CROP**2 if self._is_large() else _GLIMPSED // 32**2)
        found = [
            psnr_db(as_pixels(model(noisy, sigma)), clean)
            for clean, noisy, sigma in self._noisy(images, Level.of(self.observed.condition))
        ]
        return ((f"{self.observed.split}[:{len(images)}]", "psnr_db", float(torch.cat(found).mean())),)

    @torch.no_grad()
    def keepsakes(self, model: nn.Module) -> Mapping[str, NDArray[Any]]:
        """Return crops from the middle of the first observed images: clean, noisy, estimate, each uint8 (n, C, h, w).

        The noisy ones are clipped and rounded so that they can be shown. Each crop is denoised by itself: near
        its edges the estimate is not that of the whole image.
        """
        images = self._crops(_KEPT_CROP, _KEPT)
        images = [image for image in images if image.shape == images[0].shape]
        kept: dict[str, list[NDArray[Any]]] = {"clean": [], "noisy": [], "estimate": []}
        level = Level.of(self.observed.condition)
        for clean, noisy, sigma in self._noisy(images, level, _pixels_at_once(model)):
            for name, pixels in (("clean", clean), ("noisy", noisy), ("estimate", model(noisy, sigma))):
                kept[name].append(as_pixels(pixels).nan_to_num().byte().cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in kept.items()}

    def _is_large(self) -> bool:
        return bool(max(self.images(self.observed)[0].shape[1:]) > _CROP)

    def _crops(self, edge: int, count: int) -> Images:
        """Return the middles, of at most `edge`×`edge` pixels, of the first `count` observed images."""
        crops = []
        for image in self.images(self.observed)[:count]:
            top, left = (max(0, (size - edge) // 2) for size in image.shape[1:])
            crops.append(np.ascontiguousarray(image[:, top : top + edge, left : left + edge]))
        return crops

    def _noisy(
        self, images: Images, level: Level, at_once: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield clean and noisy images, fp32 (B, C, H, W), and the noise level of each, (B,), in the order given."""
        for batch in _batches(images, _AT_ONCE if at_once is None else at_once):
            clean = self._prepared(torch.from_numpy(np.stack(batch)).to(self.device))
            noise = torch.stack([noise_of(image, level.noise_seed) for image in batch]).to(self.device)
            yield clean, level.noisy(clean, noise), torch.full((len(batch),), level.sigma, device=self.device)

    def _prepared(self, images: Tensor) -> Tensor:
        return images.to(torch.float32).contiguous(memory_format=self._memory_format)


def _training_images(
    images: Images, augmentation: str | Mapping[str, Any], device: torch.device
) -> TrainingImages | RandomPatches:
    if isinstance(augmentation, Mapping) and augmentation["kind"] == "patches":
        return RandomPatches(images, augmentation["size"], augmentation["per_image"], device)
    return training_images(torch.from_numpy(np.stack(images)).to(device), augmentation)


def _looked_at(datasets: Sequence[DatasetDeclaration], train_on: str) -> Any:
    """Return the split that is looked at while training: never test data if validation data are kept out."""
    if train_on == "without_validation":
        return datasets[0].splits["validation"]
    tested = next((declared for declared in datasets if "test" in declared.splits), None)
    if tested is None:
        raise HarnessError(
            f"'{datasets[0].name}' has no test split to look at while training: name a set with one in 'evaluate', or"
            " train with 'train_on: without_validation'"
        )
    return tested.splits["test"]


def _pixels_at_once(model: nn.Module) -> int | None:
    """Return how many pixels a model gets at a time, None for the usual number; of 1 pixel a batch is one image."""
    return 1 if getattr(model, "one_by_one", False) else None


def _batches(images: Images, pixels: int) -> Iterator[Images]:
    """Yield images of equal shape, one after the other, as many as have so many pixels, at least one."""
    start = 0
    while start < len(images):
        shape = images[start].shape
        most = start + max(1, pixels // (shape[1] * shape[2]))
        stop = start + 1
        while stop < min(most, len(images)) and images[stop].shape == shape:
            stop += 1
        yield images[start:stop]
        start = stop


def as_pixels(estimate: Tensor) -> Tensor:
    """Return estimates as pixels are, fp32, clipped to 0…255 and rounded; NaN stays NaN."""
    return estimate.float().clamp(0, 255).round()
