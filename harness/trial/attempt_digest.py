"""Which code an attempt runs: known from the configuration alone, without importing it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from harness.base.keys import canonical_json
from harness.plugins.digests import DIGITS, code_digest
from harness.trial.trial import is_of_function, is_trained

if TYPE_CHECKING:
    from harness.attempt.data import DatasetDeclaration

_TRAINING = {kind: f"harness.training.{kind}" for kind in ("train", "evaluate", "timing")} | {
    "check": "harness.training.train"
}
_FUNCTION = "harness.training.function"
_UNTRAINED = "harness.training.untrained"


_GPU_ONLY = frozenset({"harness.training.capture", "harness.layers.kernels.cuda"})
"""Modules that an attempt on a CPU never runs."""

_PLUGIN_NETWORKS_ONLY = frozenset({"harness.models.foreign"})
"""Modules that an attempt on a network of ours never runs."""


def attempt_digest(
    config: Mapping[str, Any], data: Sequence["DatasetDeclaration"], kind: str = "train", device: str = "cpu"
) -> str:
    """Return the digest of our code that an attempt of a kind runs: training, task, data, model, compressors.

    `data` begins with what is trained on. What is declared of a model of ours (its shapes and sites) counts as code; a
    plug-in's code is in the configuration, and so is that of a person's own function. What only a GPU needs counts for
    attempts on a GPU ("cuda:0") alone.
    """
    without = frozenset[str]() if device.startswith("cuda") else _GPU_ONLY
    if is_of_function(config):  # which needs none of what is declared of networks
        return _digest((_FUNCTION,), without)
    from harness.trial.compressors import COMPRESSORS
    from harness.trial.models import MODELS
    from harness.trial.plugin_models import model_modules

    if config["model"]["kind"] in MODELS:
        without |= _PLUGIN_NETWORKS_ONLY
    trained = is_trained(config)
    modules = {
        _TRAINING[kind] if trained else _UNTRAINED,
        *_task_modules(config["task"]["kind"]),
        *([_module(data[0].code)] if trained else []),  # what is tested on is known by its contents
        *model_modules(config["model"]),
    }
    for options in config["compressors"].values():
        if options["kind"] in COMPRESSORS:
            modules.add(_module(COMPRESSORS[options["kind"]].code))
    return _digest_of_model(tuple(sorted(modules)), without, canonical_json(config["model"]))


@cache
def _digest_of_model(modules: tuple[str, ...], without: frozenset[str], model: str) -> str:
    """Return the digest for a model's configuration as JSON, once for the thousands of trials that share it."""
    text = f"{_digest(modules, without)} {canonical_json(_declared(json.loads(model)))}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def digest_now(config: Mapping[str, Any], kind: str = "train", device: str = "cpu") -> str | None:
    """Return the same for a stored configuration alone; None if that does not say which code reads its data.

    It does for our own data: of a folder and other data of a person's, a configuration has the fingerprint alone.
    """
    from harness.trial.datasets import DATASETS

    trained = config.get("data", {}).get("train")
    data = [d for d in DATASETS.values() if "train" in d.splits and d.splits["train"].fingerprint == trained]
    if not data and is_trained(config):
        return None
    try:
        return attempt_digest(config, data, kind, device)
    except KeyError:
        return None


def _task_modules(kind: str) -> set[str]:
    """Return the module of a task of ours; a plug-in's code is in the configuration."""
    from harness.trial.tasks import TASKS

    return {_module(TASKS[kind].code)} if kind in TASKS else set()


def _declared(model: Mapping[str, Any]) -> Any:
    """Return what is declared of a model of ours; a plug-in's sites follow from its code."""
    from harness.trial.models import MODELS

    ours = MODELS.get(model["kind"])
    if ours is None:
        return None
    sites = ours.sites_of(ours.options.model_validate({name: value for name, value in model.items() if name != "kind"}))
    return (ours.input_shape, ours.classes, sorted((s.name, s.channels) for s in sites.values()))


@cache
def _digest(modules: tuple[str, ...], without: frozenset[str]) -> str:
    return code_digest(modules, without)


def _module(code: str) -> str:
    return code.partition(":")[0]
