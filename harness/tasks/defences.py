"""Denoisers before a classifier: what a condition names, as a function of pixels.

Pixels are float32 (B, C, H, W) on 0…255, before and behind a denoiser; its estimate is clipped there and not rounded.
All are differentiable: a blur and a network as usual, BM3D with the groups and thresholds that it found held fixed.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from harness.attempt.messages import REQUEST_FILE, TRIAL_FILE, AttemptRequest
from harness.base.errors import HarnessError
from harness.base.files import is_there, read_regular
from harness.base.sealed import sha256_of
from harness.models.build import build_model
from harness.models.model_file import load_model
from harness.trial.conditions import Blur, Bm3d, Denoiser, Trained

Defence = Callable[[Tensor], Tensor]


def build_defence(denoiser: Denoiser, files: Mapping[str, str], device: torch.device) -> Defence:
    """Return a denoiser as a function of pixels. `files`: where weights lie, by their digest.

    Raises HarnessError if its weights are not here, or not what was planned with.
    """
    if isinstance(denoiser, Blur):
        return _clipped(_mean(denoiser.size) if denoiser.size is not None else _gaussian(denoiser.sigma or 0.0))
    if isinstance(denoiser, Bm3d):
        config: Mapping[str, Any] = {"model": {"kind": "bm3d"}, "compressors": {}}
        return _clipped(_one_by_one(_told(build_model(config), denoiser.sigma)))
    return _clipped(_trained(denoiser, files, device))


def through(defence: Defence, pixels: Tensor) -> Tensor:
    """Return the estimate with the gradient of the identity: BPDA."""
    with torch.no_grad():
        moved = defence(pixels) - pixels
    return pixels + moved


def _clipped(denoise: Defence) -> Defence:
    return lambda pixels: denoise(pixels).clamp(0, 255)


def _mean(size: int) -> Defence:
    """Return a mean over size×size pixels; beyond the border the image is mirrored."""
    return lambda pixels: F.avg_pool2d(_mirrored(pixels, size // 2), size, stride=1)


def _gaussian(sigma: float) -> Defence:
    """Return a Gaussian blur, cut off at 4σ; beyond the border the image is mirrored."""
    radius = max(1, math.ceil(4 * sigma))
    weights = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * sigma**2))
    weights /= weights.sum()

    def blur(pixels: Tensor) -> Tensor:
        channels = pixels.shape[1]
        line = weights.to(pixels).expand(channels, 1, 1, -1)
        padded = _mirrored(pixels, radius)
        return F.conv2d(F.conv2d(padded, line, groups=channels), line.transpose(2, 3), groups=channels)

    return blur


def _mirrored(pixels: Tensor, margin: int) -> Tensor:
    """Return pixels with a mirrored margin, as F.pad's `reflect`, whose gradient is not repeatable on a GPU."""
    if margin >= min(pixels.shape[2:]):
        raise HarnessError(f"a blur that reaches {margin} pixels is too wide for images of {tuple(pixels.shape[2:])}")
    for dim in (2, 3):
        size = pixels.shape[dim]
        before = pixels.narrow(dim, 1, margin).flip(dim)
        after = pixels.narrow(dim, size - margin - 1, margin).flip(dim)
        pixels = torch.cat((before, pixels, after), dim)
    return pixels


def _told(model: nn.Module, sigma: float) -> Defence:
    """Return a denoiser `(noisy, sigma) → estimate` that is told one noise level."""
    return lambda pixels: model(pixels, pixels.new_full((len(pixels),), sigma))


def _one_by_one(denoise: Defence) -> Defence:
    """Return a denoiser whose gradient takes the memory of one image, each of which is denoised again for it.

    What BM3D would keep of ten images of 224×224 for their gradient is more than 15 GB.
    """

    def denoised(pixels: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and pixels.requires_grad):
            return denoise(pixels)
        each = (
            checkpoint(denoise, image, use_reentrant=False, preserve_rng_state=False)
            for image in torch.split(pixels, 1)
        )
        return torch.cat(list(each))

    return denoised


def _trained(denoiser: Trained, files: Mapping[str, str], device: torch.device) -> Defence:
    if denoiser.awaits is not None or denoiser.weights is None:
        raise HarnessError(f"the denoiser '{denoiser.awaits}' is not trained yet: run its study first")
    path = Path(files.get(denoiser.weights, ""))
    if not path.is_file():
        raise HarnessError(f"the denoiser's weights ({denoiser.weights[:12]}…) are not here: train or save it again")
    if sha256_of(path) != denoiser.weights:
        raise HarnessError(f"{path} is not what this was planned with: run the study again")
    config, state = _of_run(path) if denoiser.kind == "run" else _of_file(path)
    network = build_model(config, ["."])
    network.load_state_dict(dict(state))
    network = network.to(device).eval().requires_grad_(False)
    trained = config["task"]["sigma"]
    level = (trained["from"] + trained["to"]) / 2 if isinstance(trained, Mapping) else trained
    channels = getattr(getattr(network, "declaration", None), "input_shape", (None,))[0]
    denoise = _told(network, float(level if denoiser.sigma is None else denoiser.sigma))

    def checked(pixels: Tensor) -> Tensor:
        if channels not in (None, pixels.shape[1]):
            raise HarnessError(f"the denoiser takes images of {channels} channel(s), these have {pixels.shape[1]}")
        return denoise(pixels)

    return checked


def _of_file(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    about, state = load_model(path)
    return about.config, state


def _of_run(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Return what an attempt's weights belong to, by what lies beside them, and the weights."""
    config = _config_beside(path)
    if config["task"]["kind"] != "denoising":
        raise HarnessError(f"{path} is of no denoiser: its task is {config['task']['kind']}")
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return config, state


def _config_beside(path: Path) -> Mapping[str, Any]:
    """Return the configuration of the trial whose weights `path` holds: trained here, or merged with them."""
    request, merged = path.with_name(REQUEST_FILE), path.with_name(TRIAL_FILE)
    if is_there(request):
        return AttemptRequest.from_json(read_regular(request).decode()).config
    if is_there(merged):
        config: Mapping[str, Any] = json.loads(read_regular(merged))
        return config
    raise HarnessError(f"{path}: neither {REQUEST_FILE} nor {TRIAL_FILE} beside it says of what these weights are")
