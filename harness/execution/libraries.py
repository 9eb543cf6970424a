"""Which libraries the server of worker processes imports once for all of them (`harness.execution.executors.local`).

Only such as may be loaded before a process is forked; what else a function imports, each worker imports itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.attempt.messages import Execution
from harness.plugins.plugin import imports_of
from harness.trial.trial import COMMAND, is_of_function

LIGHT = ("pydantic.types", "ruamel.yaml", "importlib.metadata", "difflib")
WITH_TORCH = (*LIGHT, "torch")
COMPILER = "torch._dynamo"  # torch's optimisers import it, and what trains in several processes
_FORKABLE = frozenset({"numpy", "scipy", "sklearn", "torch"})
_WAKES_TORCH = ("torch", "torchvision", "harness.layers")


def libraries_of(
    trials: Iterable[tuple[Mapping[str, Any], Sequence[str]]], executions: Iterable[Execution] = ()
) -> Sequence[str]:
    """Return what workers will import, by the configurations of their trials, each with the folders of its plug-ins.

    Networks need torch; functions what their code imports, which is read and not run. A function that imports
    torch is taken to train: then torch's optimisers would import torch's compiler in each of its runs, which takes as
    long as torch itself. Ours do not (`harness.training.eager`), but what is compiled or trained by several processes.
    """
    wanted = dict.fromkeys(LIGHT)
    if any(execution.compile or execution.processes > 1 for execution in executions):
        wanted |= dict.fromkeys((*WITH_TORCH, COMPILER))
    for target, folders in {(_target(config), tuple(folders)) for config, folders in trials}:
        if target is None:
            wanted |= dict.fromkeys(WITH_TORCH)
            continue
        if target == COMMAND:  # a process of its own
            continue
        names = imports_of(target, folders)
        if any(f"{name}.".startswith(f"{waker}.") for name in names for waker in _WAKES_TORCH):
            wanted |= dict.fromkeys((*WITH_TORCH, COMPILER))
        wanted |= dict.fromkeys(sorted(name for name in names if _top(name) in _FORKABLE))
    return tuple(wanted)


def _target(config: Mapping[str, Any]) -> str | None:
    return str(config["task"].get("target", COMMAND)) if is_of_function(config) else None


def _top(name: str) -> str:
    return name.partition(".")[0]
