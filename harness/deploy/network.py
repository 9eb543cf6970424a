"""The network that a person names, as other programs want it: a stored run's with its weights, or a model's.

A classifier's takes pixels on 0…255 and scales them itself as its training did, so that whoever has the file alone
cannot get that wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.base.errors import HarnessError, did_you_mean, in_one_line
from harness.denoiser.denoisers import reads_sigma
from harness.execution.trained import load_network
from harness.models.build import build_model
from harness.models.foreign import make_network
from harness.models.weights import load_weights, published_weights
from harness.plugins.plugin import entry_point, entry_points, is_plugin, load_plugin
from harness.plugins.timm_models import TIMM
from harness.plugins.torchvision_models import TORCHVISION, is_published, torchvision_name
from harness.store.find import find_attempt
from harness.store.merge import open_results
from harness.store.queries import snapshot
from harness.trial.models import MODELS, ModelDeclaration
from harness.trial.plugin_models import weights_file

FOLDERS = ["."]
"""Where plug-ins are looked for: the store does not keep where they lay."""

_EXAMPLES = 2
_COLOURS = 3  # channels that timm's networks take, unless they are told others


@dataclass(frozen=True)
class Deployable:
    """A network in evaluation mode on the CPU, in fp32, with what it takes.

    `inputs` are examples, of two images; `sizes` says which of their dimensions may have any size, by name.
    """

    name: str
    network: nn.Module
    inputs: Mapping[str, Tensor]
    sizes: Mapping[str, tuple[int, ...]]
    output: str
    about: Mapping[str, Any]  # for people: written into the file

    @property
    def parameters(self) -> int:
        """How many parameters it has."""
        return sum(parameter.numel() for parameter in self.network.parameters())


class Blind(nn.Module):
    """A denoiser that makes no use of the level of noise: noisy images (N, C, H, W) on 0…255 → estimates."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor) -> Tensor:
        estimate: Tensor = self.network(noisy, noisy.new_zeros(noisy.shape[0]))
        return estimate


class Scaled(nn.Module):
    """A classifier with the scaling of its training before it: pixels (N, C, H, W) on 0…255 → logits (N, classes)."""

    mean: Tensor  # (1, C, 1, 1), on 0…1
    deviation: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.network((pixels / 255 - self.mean) / self.deviation)
        return logits


def is_model(name: str, sources: Sequence[Path]) -> bool:
    """Return whether a name is a model's (ours, an entry point's, torchvision:NAME, FILE.py:NAME …), not a run's.

    `module:object` is one unless a study of that name is stored: then it is a run's, not written in full.
    """
    if name in MODELS or name in entry_points("harness.models"):
        return True
    study, _, rest = name.partition(":")
    if not is_plugin(name) or ":" in rest:
        return False
    if name.startswith((TORCHVISION, TIMM)) or study.endswith(".py"):
        return True
    try:
        with open_results(sources) as store:
            return study not in {place.study for place in snapshot(store).study_trials}
    except HarnessError:
        return True


def named_model(name: str, input_shape: Sequence[int], classes: int) -> tuple[dict[str, Any], ModelDeclaration | None]:
    """Return a model by its name as a trial's configuration has it, and what it declares of itself, if it does.

    Only one that declares nothing is told the shape of its images and the number of classes.

    Raises HarnessError for an unknown one.
    """
    reference = name if name in MODELS else entry_point("harness.models", name) or name
    if reference in MODELS:
        return {"kind": reference}, MODELS[reference]
    if not is_plugin(reference):
        known = [*MODELS, *entry_points("harness.models")]
        raise HarnessError(
            f"unknown model '{name}'{did_you_mean(name, known)} (or {TORCHVISION}NAME, {TIMM}NAME, FILE.py:NAME)"
        )
    model = {"kind": reference, "classes": classes, "input_shape": tuple(input_shape)}
    if reference.startswith(TORCHVISION):
        torchvision_name(reference)
        return model, None
    target, code = load_plugin(reference, FOLDERS)
    declared = getattr(target, "declaration", None)
    if isinstance(declared, ModelDeclaration):
        return {"kind": reference, "code": code}, declared
    if reference.startswith(TIMM) and input_shape[0] != _COLOURS:
        model["in_chans"] = input_shape[0]
    return {**model, "code": code}, None


def of_model(name: str, input_shape: Sequence[int], classes: int, weights: str | None = None) -> Deployable:
    """Return a model's network, as it was made, or with weights: a file's, or torchvision's by their word.

    Raises HarnessError if it cannot be made, or the weights do not fit.
    """
    model, declared = named_model(name, input_shape, classes)
    with in_one_line(f"'{name}' cannot be made"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = make_network(model, FOLDERS) if declared is None else _declared_network(model)
    if weights is not None:
        if is_published(weights) and name.startswith(TORCHVISION):
            weights = published_weights(torchvision_name(name), weights)
        digest, file = weights_file(weights, FOLDERS)
        load_weights(network, file, digest)
    about = {"model": model, "weights": weights or ""}
    shape = tuple(input_shape) if declared is None else declared.input_shape
    network = network.float().eval()
    if declared is not None and declared.classes == 0:
        return _denoiser(name, network, shape, about)
    return Deployable(name, network, {"input": _images(shape)}, {"input": (0,)}, "output", about)


def _declared_network(model: Mapping[str, Any]) -> nn.Module:
    return build_model({"model": model, "compressors": {}}, FOLDERS)


def of_run(name: str, sources: Sequence[Path]) -> Deployable:
    """Return the trained network of a stored run, STUDY:TRIAL:SEED or the first digits of an attempt's uid.

    Raises HarnessError if there is no such run, it has no network, or its weights are not here.
    """
    network = load_network(name, sources).float()
    with open_results(sources) as store:
        found = snapshot(store)
        attempt = find_attempt(found, name)
    config = found.trials[attempt.trial_key].config
    place = next((p for p in found.study_trials if p.trial_key == attempt.trial_key), None)
    data = found.datasets.get(str(config.get("data", {}).get("train")))
    about = {
        "run": attempt.uid,
        "origin": f"{place.study}: {place.name}, seed {attempt.seed}" if place else attempt.uid,
        "trained_on": "" if data is None else data.name,
        "results": {
            f"{found.evaluations[key].words}: {metric}": value for (key, metric), value in attempt.results.items()
        },
        "model": config["model"],
        "compressors": config["compressors"],
    }
    return _of_task(name, network, config, about)


def _of_task(name: str, network: nn.Module, config: Mapping[str, Any], about: Mapping[str, Any]) -> Deployable:
    """Return a trained network with what its task has around it."""
    task = config["task"]["kind"]
    declared: Any = network.declaration
    shape = declared.input_shape
    if task == "denoising":
        return _denoiser(name, network, shape, {**about, "input": "pixels on 0…255; sigma on the same scale"})
    if task != "classification":
        return Deployable(name, network, {"input": _images(shape)}, {"input": (0,)}, "output", about)
    scales = config["protocol"]["normalization"]
    scales = {"mean": [0.0], "deviation": [1.0]} if scales == "none" else scales
    network = Scaled(network, scales["mean"], scales["deviation"]).eval()
    about = {**about, "input": "pixels on 0…255; they are scaled within", "scales": scales}
    return Deployable(name, network, {"pixels": 255 * _images(shape)}, {"pixels": (0,)}, "logits", about)


def _denoiser(name: str, network: nn.Module, shape: Sequence[int], about: Mapping[str, Any]) -> Deployable:
    """Return a denoiser, which takes images of any size, and the level of noise if it makes use of it."""
    inputs = {"noisy": 255 * _images(shape)}
    sizes: dict[str, tuple[int, ...]] = {"noisy": (0, 2, 3)}
    if reads_sigma(network, shape[0], torch.device("cpu")):
        inputs["sigma"], sizes["sigma"] = torch.full((_EXAMPLES,), 25.0), (0,)
    else:
        network = Blind(network).eval()
    return Deployable(name, network, inputs, sizes, "estimate", about)


def _images(shape: Sequence[int]) -> Tensor:
    """Return examples on 0…1, the same each time."""
    return torch.rand((_EXAMPLES, *shape), generator=torch.Generator().manual_seed(0))
