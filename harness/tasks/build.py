"""From the resolved configuration of a trial to its task on a device."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from harness.attempt.data import DatasetDeclaration
from harness.base.errors import HarnessError
from harness.plugins.plugin import load_object, load_ours
from harness.tasks.base import Task
from harness.trial.tasks import find_task


def build_task(
    config: Mapping[str, Any],
    datasets: Sequence[DatasetDeclaration],
    data_root: Path,
    device: torch.device,
    *,
    channels_last: bool,
    plugin_paths: Sequence[str] = (),
) -> Task:
    """Return the task of a trial, its data on the device.

    Raises HarnessError for a task that this installation does not have, or whose code was edited since the trial was
    planned.
    """
    kind = config["task"]["kind"]
    found = find_task(kind, plugin_paths)
    if found is None:
        raise HarnessError(f"the task '{kind}' is a function here, not a network's")
    declaration, digest = found
    if digest != config["task"].get("code"):
        raise HarnessError(f"the code of task '{kind}' was edited since this was planned; run the study again")
    make = load_ours(declaration.code) if digest is None else load_object(declaration.code, plugin_paths)
    return cast("Task", make(config, datasets, data_root, device, channels_last))
