"""Which code an attempt runs: known from the configuration alone, without importing it."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from harness.spec.compressors import COMPRESSORS
from harness.spec.datasets import DATASETS
from harness.spec.digests import DIGITS, code_digest
from harness.spec.keys import canonical_json
from harness.spec.models import MODELS

_TASKS = {"classification": "harness.tasks.classification"}
_TRAINING = {kind: f"harness.training.{kind}" for kind in ("train", "evaluate", "timing")} | {
    "check": "harness.training.train"
}


_GPU_ONLY = frozenset({"harness.training.capture"})
"""Modules that an attempt on a CPU never runs."""


def attempt_digest(config: Mapping[str, Any], dataset: str, kind: str = "train", device: str = "cpu") -> str:
    """Return the digest of our code that an attempt of a kind runs: training, task, data, model, compressors.

    What is declared of the model (its shapes and sites) counts as code; a plug-in's code is in the configuration. What
    only a GPU needs counts for attempts on a GPU ("cuda:0") alone.
    """
    modules = {
        _TRAINING[kind],
        _TASKS[config["task"]["kind"]],
        _module(DATASETS[dataset].code),
        _module(MODELS[config["model"]["kind"]].code),
    }
    for options in config["compressors"].values():
        if options["kind"] in COMPRESSORS:
            modules.add(_module(COMPRESSORS[options["kind"]].code))
    model = MODELS[config["model"]["kind"]]
    given = {name: value for name, value in config["model"].items() if name != "kind"}
    sites = model.sites_of(model.options.model_validate(given))
    declared = (model.input_shape, model.classes, sorted((s.name, s.channels) for s in sites.values()))
    without = frozenset[str]() if device.startswith("cuda") else _GPU_ONLY
    text = f"{_digest(tuple(sorted(modules)), without)} {canonical_json(declared)}"
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@cache
def _digest(modules: tuple[str, ...], without: frozenset[str]) -> str:
    return code_digest(modules, without)


def _module(code: str) -> str:
    return code.partition(":")[0]
