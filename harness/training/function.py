"""An attempt at a run of `task: function`: a person's own function is called with a context and returns its metrics.

What it prints goes to a file in the attempt's folder. An attempt of kind `timing` calls it once more, alone on the
device, and keeps the seconds only.
"""

import math
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.spec.attempt import CURVE_FILE, AttemptRequest, Measure, ResultValue, State, flagged
from harness.spec.errors import HarnessError
from harness.spec.function import RETURNED, load_target, returned_metrics
from harness.spec.trial import Direction
from harness.training.checkpoint import compatible
from harness.training.context import Context
from harness.training.outcome import Outcome, measure
from harness.training.process import StopFlag, synchronise
from harness.training.streams import seed_libraries, stream_seed

OUTPUT_FILE = "output.txt"


def run(request: AttemptRequest, device: torch.device, stop: StopFlag) -> Outcome:
    """Call the function, from its checkpoints where there are some that fit.

    Raises HarnessError where its code was edited since it was planned, or where it does not return its metrics.
    """
    task = request.config["task"]
    target, digest = load_target(task["target"], request.plugin_paths)
    if digest != task["code"]:
        raise HarnessError(f"the code of '{task['target']}' was edited since this was planned; run the study again")
    context = Context(request, stop, compatible(request, device))
    _seed_libraries(request.seed)
    started = time.perf_counter()
    with _output_kept(Path(request.folder) / OUTPUT_FILE):
        returned = target(context, **request.config["arguments"])
    synchronise(device)
    seconds = measure("run_s", time.perf_counter() - started)
    if request.kind == "timing":
        context.drop_checkpoints()
        (Path(request.folder) / CURVE_FILE).unlink(missing_ok=True)
        return Outcome(state="interrupted" if returned is None and stop else "done", measures=(seconds,))
    return _outcome(context, returned, stop, request.options.get("metrics", {}), seconds)


def _outcome(
    context: Context, returned: Any, stop: StopFlag, metrics: Mapping[str, Direction], seconds: Measure
) -> Outcome:
    """Return what a call brought: an interrupted attempt where it returned nothing because it was to stop."""
    curve, artifacts = context.finish()
    state: State = "interrupted"
    results: tuple[ResultValue, ...] = ()
    if returned is not None or not stop:
        values = returned_metrics(returned, metrics)
        results = tuple(ResultValue(RETURNED.key, name, *flagged(value)) for name, value in values.items())
        state = "nan" if any(math.isnan(values[name]) for name in metrics) else "done"
        context.drop_checkpoints()
    return Outcome(
        state=state,
        resumed_from=context.resumed_from,
        curve=tuple(curve.points),
        results=results,
        measures=() if context.resumed_from else (seconds,),  # of a part of the run alone it would mislead
        artifacts=artifacts,
    )


def _seed_libraries(seed: int) -> None:
    """Seed the generators that libraries draw from unasked: Python's, numpy's, torch's."""
    random.seed(stream_seed(seed, "python"))
    np.random.seed(stream_seed(seed, "numpy") % 2**32)  # noqa: NPY002 - it is this one that libraries use
    seed_libraries(seed)


@contextmanager
def _output_kept(path: Path) -> Iterator[None]:
    """Write what is printed into a file, as it comes: the terminal shows the progress of all runs."""
    with path.open("a", encoding="utf-8", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        yield
