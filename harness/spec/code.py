"""Which code an attempt runs: known from the configuration alone, without importing it."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from harness.spec.compressors import COMPRESSORS
from harness.spec.datasets import DATASETS
from harness.spec.digests import code_digest
from harness.spec.models import MODELS

_TASKS = {"classification": "harness.tasks.classification"}
_TRAINING = {kind: f"harness.training.{kind}" for kind in ("train", "evaluate", "timing")} | {
    "check": "harness.training.train"
}


def attempt_digest(config: Mapping[str, Any], dataset: str, kind: str = "train") -> str:
    """Return the digest of our code that an attempt of a kind runs: training, task, data, model, compressors.

    A plug-in's code is in the configuration itself.
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
    return _digest(tuple(sorted(modules)))


@cache
def _digest(modules: tuple[str, ...]) -> str:
    return code_digest(modules)


def _module(code: str) -> str:
    return code.partition(":")[0]
