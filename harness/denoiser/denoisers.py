"""Which denoiser a person means by a name: the one that is shipped, a saved one, a stored run, or a classical method.

All of them become a `Denoiser`, which says what it takes and is called in one way.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.base.errors import HarnessError, did_you_mean, in_one_line, kind_of
from harness.classical import bm3d, k_svd, nl_bayes, s_ple
from harness.classical.options import SMALLEST
from harness.denoiser.tiling import Progress, in_tiles, reach
from harness.models.build import build_model
from harness.models.model_file import ENDING, About, load_model
from harness.store.artifacts import read_weights
from harness.store.find import find_attempt
from harness.store.merge import open_results
from harness.store.queries import artifacts, snapshot
from harness.trial.compressors import COMPRESSORS
from harness.trial.conditions import SHIPPED
from harness.trial.models import MODELS

CLASSICAL: Mapping[str, Callable[..., Tensor]] = {
    "bm3d": bm3d,
    "nl_bayes": nl_bayes,
    "k_svd": k_svd,
    "s_ple": s_ple,
}
_TILE = 512  # pixels; what a tile of a network with 64 maps computes takes half a gigabyte
_UNTILED = 768**2  # an image of at most so many pixels is denoised at once
_PROBED = 32  # side of the image on which a network is asked whether it reads sigma
_WEIGHTS_ALONE = frozenset({".pt", ".pth", ".safetensors", ".mat", ".ckpt", ".bin"})

Estimate = Callable[[Tensor, float | None, int | None, Progress | None], Tensor]


@dataclass(frozen=True)
class Denoiser:
    """A method, ready to be used.

    `estimate(noisy, sigma, tile, progress)` takes float32 (N, C, H, W) on 0…255 with C in `channels` and height and
    width of at least `smallest`, and returns the same shape, not clipped. sigma is None if nobody knows it, which only
    a method that does not need it accepts; tile is None for the method's own choice.
    """

    name: str
    channels: frozenset[int]
    needs_sigma: bool
    estimate: Estimate
    device: torch.device
    levels: tuple[float, float] | None = None  # of noise, that it was trained on
    smallest: int = 1
    for_grey: "Denoiser | None" = None  # what is used for grey pictures instead


def find_denoiser(name: str | None, device_name: str, sources: Sequence[Path]) -> Denoiser:
    """Return what `name` means: None the shipped network, else a classical method, a saved denoiser, or a run.

    The shipped network is for colour; grey pictures then go to BM3D.

    Args:
        name: None; bm3d, nl_bayes, k_svd, s_ple; a file .npz; STUDY:TRIAL:SEED or the first digits of a uid.
        device_name: cpu or cuda:N.
        sources: databases or published files in which runs are looked up.

    Raises:
        HarnessError: nothing has this name, or it is not a denoiser; OSError if a file cannot be opened.
    """
    device = torch.device(device_name)
    if name is None:
        if not SHIPPED.is_file():
            raise HarnessError(
                f"the default network is missing ({SHIPPED}): choose another with --model, e.g. --model bm3d; or train "
                "it, 'harness run grid ablations/denoise-any.yml', and name the run"
            )
        return replace(_saved(SHIPPED, device), for_grey=_classical("bm3d", device))
    if (method := name.lower().replace("-", "_")) in CLASSICAL:  # NL-Bayes, too, as a person types it
        return _classical(method, device)
    path = Path(name).expanduser()
    if path.suffix == ENDING:
        return _saved(path, device)
    if path.suffix in _WEIGHTS_ALONE:
        raise HarnessError(
            f"{name}: weights alone do not say which network they belong to; 'harness model save RUN FILE{ENDING}' "
            "writes a file that does"
        )
    about, state = load_run(name, sources)
    return _network(about, state, device)


def load_run(name: str, sources: Sequence[Path]) -> tuple[About, dict[str, Tensor]]:
    """Return the network of a stored run of the task denoising and its state dict, as `find_denoiser` finds it.

    Raises HarnessError if there is no such run, it is of another task, or its weights are not here.
    """
    names = did_you_mean(name, CLASSICAL)
    try:
        store = open_results(sources)
    except HarnessError as error:
        raise HarnessError(f"'{name}' is not a method{names}; nor can it be a run: {error}") from error
    with store:
        found = snapshot(store)
        try:
            attempt = find_attempt(found, name)
        except HarnessError as error:
            raise HarnessError(f"'{name}' is not a method{names}; nor a run: {error}") from error
        trial = found.trials[attempt.trial_key]
        if trial.config.get("task", {}).get("kind") != "denoising":
            raise HarnessError(f"'{name}' is not a denoiser: its task is another")
        if "protocol" not in trial.config:
            raise HarnessError(f"'{name}' was not trained, so there are no weights of it: name a method, as bm3d")
        content = read_weights(sources, attempt.uid, artifacts(store, attempt.uid))
        if content is None:
            raise HarnessError(f"'{name}': the weights of this attempt are not here; run it again, or name another run")
        place = next((p for p in found.study_trials if p.trial_key == attempt.trial_key), None)
        origin = f"{place.study}: {place.name}, seed {attempt.seed}" if place else attempt.uid[:8]
        results = {
            f"{e.words}: {metric}": value
            for (key, metric), value in attempt.results.items()
            if (e := found.evaluations[key]) and "sigma" in e.condition
        }
        data = found.datasets.get(str(trial.config.get("data", {}).get("train")))
        trained_on = "" if data is None else data.name
    config = {part: trial.config[part] for part in ("model", "compressors", "task")}
    return About(config, trained_on, origin, attempt.uid, results), _state(content, name)


def _state(content: bytes, name: str) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise HarnessError(f"'{name}': its weights cannot be read ({kind_of(error)})") from error
    return state


def _saved(path: Path, device: torch.device) -> Denoiser:
    about, state = load_model(path)
    model, compressors = str(about.config["model"].get("kind")), about.config["compressors"].values()
    foreign = [model] if model not in MODELS else []
    foreign += [kind for one in compressors if (kind := str(one.get("kind"))) not in COMPRESSORS]
    for kind in foreign:  # of a plug-in: a file that somebody else made is not to import code
        raise HarnessError(f"{path} needs '{kind}', which does not come with the harness")
    return _network(about, state, device)


def _network(about: About, state: Mapping[str, Tensor], device: torch.device) -> Denoiser:
    """Return a network with its weights as a denoiser. Raises HarnessError if they do not belong together."""
    config, name = about.config, about.origin or "the network"
    try:
        network = build_model(config, ["."])
        network.load_state_dict(dict(state))
    except (RuntimeError, KeyError, TypeError) as error:
        raise HarnessError(f"{name}: the weights do not fit the network ({' '.join(str(error).split())})") from error
    network = network.to(device).eval()
    channels = _channels(network, config["model"])
    with in_one_line(f"{name} cannot be used on images"):
        needs_sigma = reads_sigma(network, channels, device)
    sigma = config["task"]["sigma"]
    levels = (float(sigma["from"]), float(sigma["to"])) if isinstance(sigma, Mapping) else (float(sigma),) * 2
    return Denoiser(
        name=name,
        channels=frozenset({channels}),
        needs_sigma=needs_sigma,
        estimate=partial(_by_network, network),
        levels=(levels[0], levels[1]),
        device=device,
    )


def _channels(network: nn.Module, model: Mapping[str, Any]) -> int:
    declared = getattr(network, "declaration", None)
    shape = model["input_shape"] if declared is None else declared.input_shape
    return int(shape[0])


@torch.no_grad()
def reads_sigma(network: nn.Module, channels: int, device: torch.device) -> bool:
    """Return whether a network's estimate depends on the noise level given to it."""
    noisy = torch.linspace(0, 255, channels * _PROBED**2, device=device).view(1, channels, _PROBED, _PROBED)
    low, high = (network(noisy, torch.full((1,), level, device=device)) for level in (5.0, 50.0))
    return not bool(torch.equal(low, high))


@torch.no_grad()
def _by_network(
    network: nn.Module, noisy: Tensor, sigma: float | None, tile: int | None, progress: Progress | None
) -> Tensor:
    channels, height, width = noisy.shape[1:]

    def call(images: Tensor) -> Tensor:
        level = torch.full((len(images),), 0.0 if sigma is None else sigma, device=images.device)
        estimate: Tensor = network(images, level)
        return estimate

    side = tile or (max(height, width) if height * width <= _UNTILED else _TILE)
    try:
        overlap = None if max(height, width) <= side else reach(call, channels, noisy.device)
        if overlap is None:  # small enough, or a network that always looks at the whole image
            return call(noisy)
        return in_tiles(call, noisy, side, overlap, progress)
    except torch.OutOfMemoryError as error:
        raise HarnessError(
            f"the GPU's memory does not suffice; use smaller tiles: --tile {max(64, side // 2)}"
        ) from error


def _classical(name: str, device: torch.device) -> Denoiser:
    return Denoiser(
        name=name,
        channels=frozenset({1, 3}),
        needs_sigma=True,
        estimate=partial(_by_method, CLASSICAL[name]),
        smallest=SMALLEST,
        device=device,
    )


def _by_method(
    method: Callable[..., Tensor], noisy: Tensor, sigma: float | None, tile: int | None, progress: Progress | None
) -> Tensor:
    """Return the estimates of a classical method. Raises HarnessError for what it cannot denoise."""
    options = {} if tile is None else {"tile": tile}
    try:
        return torch.stack([method(image, sigma, progress=progress, **options) for image in noisy])
    except ValueError as error:
        raise HarnessError(str(error)) from error
