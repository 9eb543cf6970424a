"""An attempt at a run of `task: function`: a person's own function is called with a context and returns its metrics.

An attempt of kind `timing` calls it once more, alone on the device, and keeps the seconds only. Torch is there if the
function imports it, or if it is to run on a GPU.
"""

import math
import re
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness.attempt.messages import CURVE_FILE, STOP_FILE, AttemptRequest, Measure, ResultValue, State, flagged
from harness.attempt.metrics import Direction
from harness.base.errors import HarnessError
from harness.plugins.plugin import find_plugin
from harness.training import command
from harness.training.context import Context
from harness.training.environment import device_name, library_versions
from harness.training.libraries import libraries_ready, seed_loaded
from harness.training.outcome import Outcome, measure
from harness.trial.attempt_digest import attempt_digest
from harness.trial.function import RETURNED, load_target, returned_metrics

_NOT_COMPARED = frozenset({"device", "jobs", "checkpoint_every_s", "session"})


class StopFile:
    """Whether the driver has asked for a stop, by a file in the attempt's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STOP_FILE

    def __bool__(self) -> bool:
        return self._path.exists()


def run(request: AttemptRequest) -> Outcome:
    """Call the function, from its checkpoints if there are some that fit.

    Raises HarnessError if its code was edited since it was planned, or if it does not return its metrics.
    """
    is_command = "command" in request.config["task"]
    with nullcontext() if is_command else libraries_ready(request.execution, request.seed):
        outcome = _call(request, StopFile(Path(request.folder)))
    peak = _of_children() if is_command else _peak_memory_bytes(request.execution.device)
    if peak is None:
        return outcome
    return replace(outcome, measures=(*outcome.measures, measure("peak_memory_bytes", peak)))


def _call(request: AttemptRequest, stop: StopFile) -> Outcome:
    task = request.config["task"]
    if "command" not in task:
        target, digest = load_target(task["target"], request.plugin_paths)
        if digest != task["code"]:
            raise HarnessError(f"the code of '{task['target']}' was edited since this was planned; run the study again")
    context = Context(request, stop, _compatible(request))
    started = time.perf_counter()
    if "command" in task:
        returned: Any = command.call(context, request)
    else:
        seed_loaded(request.seed)
        with _found_by_children(find_plugin(task["target"], request.plugin_paths)[0]):
            returned = target(context, **request.config["arguments"])
        _wait_for(request.execution.device)
    seconds = measure("run_s", time.perf_counter() - started)
    if request.kind == "timing":
        context.drop_checkpoints()
        (Path(request.folder) / CURVE_FILE).unlink(missing_ok=True)
        return Outcome(state="interrupted" if returned is None and stop else "done", measures=(seconds,))
    return _outcome(context, returned, stop, request.options.get("metrics", {}), seconds)


def _compatible(request: AttemptRequest) -> dict[str, Any]:
    """Return what must be equal for an attempt to go on with another's checkpoints."""
    execution = request.execution
    return {
        "trial_key": request.trial_key,
        "seed": request.seed,
        "code_digest": attempt_digest(request.config, request.datasets, device=execution.device),
        "device": device_name(execution.device),
        **{name: value for name, value in asdict(execution).items() if name not in _NOT_COMPARED},
        "libraries": library_versions(),
    }


def _outcome(
    context: Context, returned: Any, stop: StopFile, metrics: Mapping[str, Direction], seconds: Measure
) -> Outcome:
    """Return what a call brought: an interrupted attempt if it returned nothing because it was to stop."""
    stopped = returned is None and bool(stop)
    curve, artifacts = context.finish(stopped=stopped)
    state: State = "interrupted"
    results: tuple[ResultValue, ...] = ()
    notes = context.notes
    if not stopped:
        values, of_values = returned_metrics(returned, metrics)
        notes = [*notes, *of_values]
        results = tuple(ResultValue(RETURNED.key, name, *flagged(value)) for name, value in values.items())
        state = "nan" if any(math.isnan(values[name]) for name in metrics) else "done"
    return Outcome(
        state=state,
        resumed_from=context.resumed_from,
        curve=curve,
        results=results,
        measures=() if context.resumed_from else (seconds,),  # of a part of the run alone it would mislead
        artifacts=artifacts,
        notes=tuple(notes),
    )


def _wait_for(device: str) -> None:
    """Wait until a GPU has done what was queued; a CPU always has."""
    if device != "cpu":
        import torch

        from harness.training.process import synchronise

        synchronise(torch.device(device))


def _peak_memory_bytes(device: str) -> int | None:
    """Return the peak of this process: allocated on the GPU, resident on the CPU; None if it is not known."""
    if device != "cpu":
        import torch

        from harness.training.process import peak_memory_bytes

        return peak_memory_bytes(torch.device(device))
    found = None
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return None if found is None else int(found[1]) * 1024


def _of_children() -> int:
    """Return the peak of the processes that this one has started and that have ended: of the largest."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


@contextmanager
def _found_by_children(root: Path) -> Iterator[None]:
    """Let processes that the function spawns import its own module, which they look for where this one does."""
    sys.path.append(str(root))
    try:
        yield
    finally:
        with suppress(ValueError):  # the function may do with sys.path what it likes
            sys.path.remove(str(root))
