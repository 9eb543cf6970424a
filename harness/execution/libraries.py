"""Which libraries the server of worker processes imports once for all of them (`harness.execution.executors.local`).

Only such as may be loaded before a process is forked; what else a function imports, each worker imports itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.plugins.plugin import imports_of
from harness.trial.trial import is_of_function, is_trained

LIGHT = ("pydantic.types", "ruamel.yaml", "importlib.metadata", "difflib")
WITH_TORCH = (*LIGHT, "torch", "torch._dynamo")  # the last is imported by every optimiser of torch
_FORKABLE = frozenset({"numpy", "scipy", "sklearn", "torch"})
_WAKES_TORCH = ("torch", "torchvision", "harness.layers")


def libraries_of(trials: Iterable[tuple[Mapping[str, Any], Sequence[str]]]) -> Sequence[str]:
    """Return what workers will import, by the configurations of their trials, each with the folders of its plug-ins.

    Networks need torch; functions what their code imports, which is read and not run. A function that imports
    torch is taken to train: then each of its runs would import torch._dynamo, which takes as long as torch itself.
    """
    wanted = dict.fromkeys(LIGHT)
    for target, folders, trained in {
        (_target(config), tuple(folders), is_trained(config)) for config, folders in trials
    }:
        if target is None:
            wanted |= dict.fromkeys(WITH_TORCH if trained else (*LIGHT, "torch"))
            continue
        names = imports_of(target, folders)
        if any(f"{name}.".startswith(f"{waker}.") for name in names for waker in _WAKES_TORCH):
            wanted |= dict.fromkeys(WITH_TORCH)
        wanted |= dict.fromkeys(sorted(name for name in names if _top(name) in _FORKABLE))
    return tuple(wanted)


def _target(config: Mapping[str, Any]) -> str | None:
    return str(config["task"]["target"]) if is_of_function(config) else None


def _top(name: str) -> str:
    return name.partition(".")[0]
