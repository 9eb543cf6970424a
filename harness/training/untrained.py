"""An attempt at a model that is never trained (a classical method, published weights): it is evaluated, or timed.

    set up task and model → for each evaluation: part after part into items.jsonl → results, pictures for a report

A part is one image of a slow method. Between two parts it looks whether it is to stop; stopped or killed, the next
attempt takes over all parts that are done. An attempt of kind `timing` measures seconds per image on the first images
of the first clean evaluation (without one, of the first), after one of warm-up.
"""

import errno
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.attempt.items import ITEMS_FILE, KeptItems, Part, head_line, part_line, read_items
from harness.attempt.messages import (
    Artifact,
    AttemptRequest,
    EvaluationSpec,
    ResultValue,
    Sample,
    flagged,
    option_in_words,
)
from harness.base.errors import DamagedError, HarnessError
from harness.base.files import atomic_open, atomic_write
from harness.base.keys import canonical_json
from harness.tasks.base import samples
from harness.tasks.parts import ByItem, TaskInParts
from harness.tasks.precision import use_precision
from harness.training.checkpoint import compatible
from harness.training.outcome import Outcome, artifact, measure
from harness.training.process import StopFlag, synchronise
from harness.training.progress_file import ItemProgressFile
from harness.training.ranks import ALONE, Ranks
from harness.training.setup import build_task, channels_last
from harness.training.streams import seed_libraries

MAPS_FILE = "maps.npz"
PRECISION = "fp32"
TIMED, AT_MOST_S = 3, 60.0
"""Images that a repetition times, as long as these seconds are not over."""


def run(request: AttemptRequest, device: torch.device, stop: StopFlag, _ranks: Ranks = ALONE) -> Outcome:
    """Evaluate or time the request's model."""
    task, model = _set_up(request, device)
    return _timed(request, task, model, stop) if request.kind == "timing" else _evaluated(request, task, model, stop)


def _set_up(request: AttemptRequest, device: torch.device) -> tuple[TaskInParts, nn.Module]:
    """Return the task without training data, and the model with what weights it has, in evaluation mode."""
    use_precision(PRECISION, device)
    task = build_task(
        request.config,
        request.datasets,
        Path(request.data_root),
        device,
        channels_last=channels_last(request.execution, PRECISION),
        plugin_paths=request.plugin_paths,
    )
    # The same of the same evaluations, in whatever order a study has them.
    task.observed = min(request.evaluations, key=lambda each: (each.dataset, canonical_json(each.condition)))
    seed_libraries(request.seed)
    model = task.model(request.config, request.plugin_paths, request.files).eval()
    if hasattr(model, "seed"):  # of a method that draws random numbers, for each image alike
        model.seed = request.seed  # type: ignore[assignment]
    return cast("TaskInParts", task), model


def _evaluated(request: AttemptRequest, task: TaskInParts, model: nn.Module, stop: StopFlag) -> Outcome:
    folder = Path(request.folder)
    wanted = compatible(request, task.device)
    earlier, notes = _earlier(request, wanted)
    resumed_from = request.resume_from if earlier is not None else None
    kept = Items(folder, wanted, () if earlier is None else earlier.parts)
    progress_file = ItemProgressFile(folder, sum(spec.images for spec in request.evaluations))
    for spec in request.evaluations:
        parts = task.parts(model, spec, kept.done(spec))
        while kept.done(spec) < spec.images:
            if stop:
                return Outcome(state="interrupted", resumed_from=resumed_from, notes=notes)
            kept.add(spec, _next(parts, spec, kept))
            done = sum(kept.done(each) for each in request.evaluations)
            progress_file.write(done, _in_words(spec), kept.mean_so_far(spec))
    results, by_item = _found(task, kept, request.evaluations)
    return Outcome(
        state="nan" if any(value.flag == "nan" for value in results) else "done",
        resumed_from=resumed_from,
        results=results,
        samples=by_item,
        artifacts=() if request.kind == "evaluate" else _pictures(task, model, folder),
        notes=notes,
    )


def _earlier(request: AttemptRequest, wanted: Mapping[str, Any]) -> tuple[KeptItems | None, tuple[str, ...]]:
    """Return the items to resume from, or None, and what is to be said of a file that is damaged."""
    if request.resume_folder is None:
        return None, ()
    try:
        found = read_items(Path(request.resume_folder) / ITEMS_FILE)
    except DamagedError as error:
        return None, (f"what was evaluated before is damaged ({error}): it started afresh",)
    return (found if found is not None and found.compatible == wanted else None), ()


def _next(parts: Iterator[ByItem], spec: EvaluationSpec, kept: "Items") -> ByItem:
    part = next(parts, None)
    if part is None:
        raise HarnessError(f"the task evaluated {kept.done(spec)} of {spec.images} items of {_in_words(spec)}")
    return part


def _found(
    task: TaskInParts, kept: "Items", specs: tuple[EvaluationSpec, ...]
) -> tuple[tuple[ResultValue, ...], tuple[Sample, ...]]:
    """Return the final metrics of each evaluation and its values by item."""
    results: list[ResultValue] = []
    by_item: list[Sample] = []
    for spec in specs:
        evaluated = task.joined(spec, kept.of(spec))
        results += [ResultValue(spec.key, name, *flagged(value)) for name, value in evaluated.metrics.items()]
        by_item += samples(spec, evaluated)
    return tuple(results), tuple(by_item)


def _pictures(task: TaskInParts, model: nn.Module, folder: Path) -> tuple[Artifact, ...]:
    """Keep what a report shows of the observed evaluation."""
    shown = task.keepsakes(model)
    if not shown:
        return ()
    with atomic_open(folder / MAPS_FILE) as file:
        np.savez_compressed(file, **shown)  # type: ignore[arg-type]
    return (artifact("maps", folder / MAPS_FILE, folder),)


def _in_words(spec: EvaluationSpec) -> str:
    """Return an evaluation for people: "cbsd68, gaussian, sigma 25.0"."""
    said = {name: option_in_words(value) for name, value in spec.condition.items()}
    kind = said.pop("kind", "clean")
    kinds = [] if kind == "clean" else [kind]
    return ", ".join([spec.dataset, *kinds, *(f"{name} {value}" for name, value in said.items())])


class Items:
    """The values by item so far of all evaluations, in memory and in the attempt's folder, where each part is durable.

    `parts` are taken over from an earlier attempt.
    """

    def __init__(self, folder: Path, compatible: Mapping[str, Any], parts: tuple[Part, ...] = ()) -> None:
        self._path = folder / ITEMS_FILE
        self._values: dict[str, list[dict[str, NDArray[Any]]]] = {}
        self._done: dict[str, int] = {}
        self._sums: dict[str, tuple[str, float]] = {}  # of the first metric
        for part in parts:
            self._keep(part.evaluation, part.count, {name: _unpacked(*packed) for name, packed in part.values.items()})
        atomic_write(self._path, head_line(compatible) + "".join(map(part_line, parts)))

    def add(self, on: EvaluationSpec, found: ByItem) -> None:
        """Add the next part of an evaluation; of one that a full disk cuts off nothing is left."""
        count = len(next(iter(found.values())))
        packed = {name: (values.dtype.str, values.tobytes().hex()) for name, values in found.items()}
        line = part_line(Part(on.key, count, packed)).encode()
        with self._path.open("ab", buffering=0) as file:
            written = file.write(line)
            if written != len(line):
                file.truncate(file.tell() - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(file.fileno())
        self._keep(on.key, count, dict(found))

    def done(self, on: EvaluationSpec) -> int:
        """Return how many items of an evaluation are done."""
        return self._done.get(on.key, 0)

    def of(self, on: EvaluationSpec) -> dict[str, NDArray[Any]]:
        """Return the values of an evaluation so far, (done,) each."""
        parts = self._values[on.key]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def mean_so_far(self, on: EvaluationSpec) -> tuple[str, float]:
        """Return the first metric of an evaluation that has begun, and its mean over what is done."""
        name, total = self._sums[on.key]
        return name, total / self.done(on)

    def _keep(self, key: str, count: int, values: dict[str, NDArray[Any]]) -> None:
        self._values.setdefault(key, []).append(values)
        self._done[key] = self._done.get(key, 0) + count
        name, first = next(iter(values.items()))
        self._sums[key] = name, self._sums.get(key, (name, 0.0))[1] + float(first.sum())


def _unpacked(kind: str, data: str) -> NDArray[Any]:
    return np.frombuffer(bytes.fromhex(data), dtype=np.dtype(kind)).copy()


class _Clock:
    """The seconds that a model's calls take."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._device = device
        self._begun = self._seconds = 0.0
        model.register_forward_pre_hook(self._begin)
        model.register_forward_hook(self._end)

    def taken(self) -> float:
        """Return the seconds since this was last asked."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _begin(self, *_: Any) -> None:
        synchronise(self._device)
        self._begun = time.perf_counter()

    def _end(self, *_: Any) -> None:
        synchronise(self._device)
        self._seconds += time.perf_counter() - self._begun


def _timed(request: AttemptRequest, task: TaskInParts, model: nn.Module, stop: StopFlag) -> Outcome:
    """Time the model on the first images of an evaluation, without their noise and their metrics.

    A clean one, if there is one: an attack calls the model too. Raises HarnessError if nothing calls it.
    """
    clean = (spec for spec in request.evaluations if spec.condition.get("kind", "clean") == "clean")
    spec = next(clean, request.evaluations[0])
    next(task.parts(model, spec, 0))
    clock = _Clock(model, task.device)
    seconds: list[float] = []
    begun, done = time.monotonic(), 0
    parts = task.parts(model, spec, 0)
    while not seconds or (done < min(TIMED, spec.images) and time.monotonic() - begun < AT_MOST_S):
        if stop:
            return Outcome(state="interrupted")
        count = len(next(iter(next(parts).values())))
        seconds.append(clock.taken() / count)
        done += count
    if not all(seconds):
        raise HarnessError(f"nothing was timed: {_in_words(spec)} does not call the model")
    name = "test_s_per_image"
    measures = {
        name: statistics.median(seconds),
        f"{name}_min": min(seconds),
        f"{name}_max": max(seconds),
        f"{name}_count": len(seconds),
    }
    return Outcome(state="done", measures=tuple(measure(key, value) for key, value in measures.items()))
