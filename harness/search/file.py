"""A search file as a Search: checked as a study file is, every error one line with file and line.

    search: cifar-placement           # its name in the store: its trials belong to a study of this name
    task: classification
    dataset: cifar10
    model: {kind: vgg16, width: 0.25}
    protocol: {kind: cifar-fast, train_on: without_validation}
    seeds: [0]                        # the primary metric is the mean over these
    sites: [conv3, conv4]             # default: all sites of the model
    compressor: {kind: spatial}
    strides: [2, 4]
    objectives: [accuracy, parameters]    # the task's primary metric, alone or before parameters or macs

A search chooses, so it must not meet the test set: a protocol that trains on all data is refused. A file whose task is
a function searches its arguments (`harness.search.arguments`).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.attempt.metrics import Direction, Metric
from harness.base.checks import FieldError, validate
from harness.base.errors import HarnessError, SpecError, did_you_mean
from harness.base.source import Source, YamlPath, read_source
from harness.search.arguments import argument_space, objectives_of
from harness.search.form import COSTS, ArgumentFile, PlacementFile, SamplerName, SearchFile
from harness.search.space import AnySpace, Space
from harness.study.grid import Override
from harness.study.study import MOST_POINTS, check_processes
from harness.study.study_file import ExecutionOptions
from harness.trial.plugin_models import declared_model
from harness.trial.resolve import named, resolve_trial
from harness.trial.tasks import find_task


@dataclass(frozen=True)
class Search:
    """A search: its space, and how it is searched."""

    name: str
    description: str
    space: AnySpace
    seeds: tuple[int, ...]
    objectives: tuple[str, ...]
    metric: Metric  # the first objective
    directions: tuple[Direction, ...]  # the better one of each objective
    sampler: SamplerName
    sampler_seed: int
    prunes: bool
    front_name: str  # of the study that is written at the end
    front_seeds: tuple[int, ...]
    execution: ExecutionOptions
    spec_yaml: str
    file: str

    @property
    def of_arguments(self) -> bool:
        """Whether a function's arguments are searched, not where compressors go."""
        return self.space.sample.is_function

    @property
    def measured(self) -> tuple[str, ...]:
        """The objectives that runs measure; the others are costs that are counted."""
        return self.objectives if self.of_arguments else self.objectives[:1]

    @property
    def cost(self) -> str | None:
        """What is shown beside the first objective: the second, or the parameters; a function has none of these."""
        if len(self.objectives) > 1:
            return self.objectives[1]
        return None if self.of_arguments else "parameters"


def load_search(path: Path | str, overrides: Sequence[Override] = ()) -> Search:
    """Read and check a search file, with values from the command line put in.

    Raises SpecError, with file and line or the option to blame, for the first thing that is wrong.
    """
    source = read_source(path)
    folders = (str(Path(path).resolve().parent),)
    space: AnySpace
    directions: Sequence[Direction]
    try:
        form = _form(source.data, folders)
        data = _overridden(source.data, overrides, form)
        file = validate(form, data)
        if isinstance(file, ArgumentFile):
            space = argument_space(file, folders)
            metrics = space.sample.directions
            objectives = objectives_of(file, metrics)
            directions = [metrics[name] for name in objectives]
        else:
            space = _space(cast("PlacementFile", file), data, folders)
            objectives = _objectives(cast("PlacementFile", file).objectives, space.sample.metrics[0])
            directions = (space.sample.metrics[0].direction, "minimize")[: len(objectives)]
        _check(file, objectives, space.size)
        check_processes(file.execution, [space.sample])
    except FieldError as error:
        raise _placed(source, error, overrides) from error.__cause__
    return Search(
        name=file.search,
        description=file.description,
        space=space,
        seeds=tuple(file.seeds),
        objectives=objectives,
        metric=next(metric for metric in space.sample.metrics if metric.name == objectives[0]),
        directions=tuple(directions),
        sampler=file.sampler,
        sampler_seed=file.sampler_seed,
        prunes=file.pruner is not None,
        front_name=file.study or f"{file.search}-front",
        front_seeds=tuple(file.study_seeds),
        execution=file.execution,
        spec_yaml=source.text,
        file=str(path),
    )


def _form(data: Mapping[str, Any], folders: Sequence[str]) -> type[SearchFile]:
    """Return the form of a file: that of a function's arguments if its task trains no network of ours.

    Raises FieldError for a package's task that cannot be imported.
    """
    task = named(data.get("task"))
    kind = task.get("kind") if isinstance(task, dict) else None
    if not isinstance(kind, str):
        return PlacementFile if kind is None else ArgumentFile
    try:
        found = find_task(kind, folders)
    except FieldError as error:
        raise FieldError(("task",), error.message) from error.__cause__
    return ArgumentFile if found is None else PlacementFile


def _objectives(written: Sequence[str] | None, metric: Metric) -> tuple[str, ...]:
    """Return what placements are searched for. Raises FieldError for what they cannot be."""
    given = (metric.name, COSTS[0]) if written is None else tuple(written)
    for number, name in enumerate(given):
        if name not in {metric.name, *COSTS}:
            known = f"{metric.name}, {' or '.join(COSTS)}"
            raise FieldError(("objectives", number), f"an item of 'objectives' must be {known}, not '{name}'")
    if given not in {(metric.name,), *((metric.name, cost) for cost in COSTS)}:
        message = f"'objectives' must be {metric.name}, alone or followed by {' or '.join(COSTS)}"
        raise FieldError(("objectives",), message)
    return given


def _space(file: PlacementFile, data: Mapping[str, Any], folders: Sequence[str]) -> Space:
    """Return the file's space with every stride at every site checked. Raises FieldError."""
    parts = {name: data.get(name) for name in ("task", "dataset", "model", "protocol", "inputs")}
    base = resolve_trial(**parts, compressors={}, plugin_folders=folders)
    if base.trains_on_all:
        raise FieldError(
            ("protocol", "train_on"),
            "a search chooses, so it must not meet the test set: write train_on: without_validation into the protocol "
            "(protocol.train_on: without_validation)",
        )
    compressor = cast("dict[str, Any]", named(file.compressor))
    if "stride" in compressor:
        raise FieldError(("compressor", "stride"), "the stride is what is searched for: write strides: [2, 4] instead")
    declared = declared_model(base.config["model"], folders)
    known = declared.sites
    for number, site in enumerate(file.sites or ()):
        if site not in known:
            raise FieldError(
                ("sites", number), f"unknown site '{site}' of '{declared.name}'{did_you_mean(site, known)}"
            )
    strides = {
        site: tuple(stride for stride in file.strides if known[site].channels % stride == 0)
        for site in file.sites or known
    }
    if not any(strides.values()):
        raise FieldError(("strides",), f"none of the strides {file.strides} divides the channels of any of the sites")
    space = Space(parts, compressor, strides, tuple(folders))
    for site, divisors in strides.items():
        for stride in divisors:
            space.trial(((site, stride),))
    return space


def _check(file: SearchFile, objectives: Sequence[str], size: float) -> None:
    """Raise FieldError for keys that do not go together, and for more points than brute force can try."""
    if file.sampler == "brute" and size > MOST_POINTS:
        raise FieldError(
            ("sampler",), f"brute force tries at most {MOST_POINTS:,} points, not {size:,.0f}: narrow the space, or tpe"
        )
    if file.pruner is not None and len(objectives) > 1:
        raise FieldError(
            ("pruner",), f"a pruner needs one objective: write objectives: [{objectives[0]}], or no pruner"
        )
    if file.study == file.search:
        raise FieldError(("study",), f"the study that is written needs another name than the search, '{file.search}'")


def _overridden(data: Mapping[str, Any], overrides: Sequence[Override], form: type[SearchFile]) -> dict[str, Any]:
    """Return the file's contents with a value put in at each override's dotted path."""
    result: dict[str, Any] = copy.deepcopy(dict(data))
    for override in overrides:
        keys = override.path.split(".")
        if keys[0] not in form.model_fields:
            message = f"'{override.path}' leads nowhere{did_you_mean(keys[0], form.model_fields)}"
            raise SpecError(message, file=_option(override.path))
        target: Any = result
        for key in keys[:-1]:
            inner = named(target.get(key, {}))
            if not isinstance(inner, dict):
                raise SpecError(f"'{override.path}' leads nowhere: '{key}' has no options", file=_option(override.path))
            target[key] = inner
            target = inner
        target[keys[-1]] = copy.deepcopy(override.value)
    return result


def _option(path: str) -> str:
    """Return the option of the command line that sets a path."""
    return f"--{path}" if path in {"sampler", "objectives"} else f"--set {path}"


def _placed(source: Source, error: FieldError, overrides: Sequence[Override]) -> HarnessError:
    """Say where the value is that an error is about: on the command line or in the file."""
    path: YamlPath = error.path
    if path[:1] == ("compressors",):  # of one site: the file says it once for all
        path = ("compressor", *path[2:])
        path = ("strides",) if path[1:2] == ("stride",) else path
    for override in reversed(overrides):
        keys = tuple(override.path.split("."))
        if path[: len(keys)] == keys:
            return SpecError(error.message, file=_option(override.path))
    return source.error(path, error.message)
