"""From what a person wrote to a trial: every name resolved, every option checked, one canonical configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from harness.attempt.data import DatasetDeclaration
from harness.base.checks import FieldError, MisfitError
from harness.base.errors import did_you_mean
from harness.plugins.registry import named
from harness.trial.compressor_options import resolve_compressor
from harness.trial.evaluations import resolve_evaluations
from harness.trial.function import resolve_function
from harness.trial.inputs import file_key, resolve_inputs
from harness.trial.models import Site
from harness.trial.own_data import resolve_dataset
from harness.trial.plugin_models import ResolvedModel, check_compressors, refused_site, resolve_model
from harness.trial.protocol import FieldSource, Normalization, ResolvedProtocol, resolve_protocol
from harness.trial.tasks import TASKS, ResolvedTask, find_task, resolve_task
from harness.trial.trial import FUNCTION, Trial

__all__ = ["OF_A_FUNCTION", "Trial", "named", "resolve_trial"]

OF_A_FUNCTION = ("target", "arguments", "metrics")
"""What a person's own function has in place of dataset, model, compressors and protocol."""


def resolve_trial(  # noqa: PLR0913 - the parts of a trial
    *,
    task: Any,
    dataset: Any = None,
    model: Any = None,
    compressors: Any = None,
    protocol: Any = None,
    evaluate: Sequence[Any] | None = None,
    target: Any = None,
    arguments: Any = None,
    metrics: Any = None,
    inputs: Any = None,
    plugin_folders: Sequence[str] = (),
) -> Trial:
    """Resolve the parts of a trial, each a name or `{kind: NAME, option: …}`, compressors by site.

    `evaluate` is what its runs are tested on, by default the test split of its dataset, or the validation split where
    that is kept out of training: a trial that chooses something never meets the test set. `target`, `arguments` and
    `metrics` are those of a person's own function (`harness.trial.function`), in place of all else. `inputs` are files
    and folders that any of its code reads (`harness.trial.inputs`).

    Raises FieldError with the path of what is wrong: an unknown word, an option out of range, a stride that does not
    divide the channels, data that do not fit the model, `width` where nothing can be narrowed.
    """
    kind, options = _under("task", lambda: TASKS.split(task))
    of_data = {"dataset": dataset, "model": model, "compressors": compressors or None, "protocol": protocol}
    found = _under("task", lambda: find_task(kind, plugin_folders))
    if found is None:
        _only("classification", {**of_data, "evaluate": evaluate})
        if kind != FUNCTION:
            if target is not None:
                raise FieldError(("target",), f"the task '{kind}' is a function already: leave 'target' out")
            target = TASKS.others[kind]
        task = {"kind": kind, **options}
        trial = resolve_function(task=task, target=target, arguments=arguments, metrics=metrics, folders=plugin_folders)
    else:
        _only("function", dict(zip(OF_A_FUNCTION, (target, arguments, metrics), strict=True)))
        resolved = _under("task", lambda: resolve_task(kind, options, found))
        trial = _of_a_network(resolved, dataset, model, compressors, protocol, evaluate, plugin_folders)
    return trial if inputs is None else _with_inputs(trial, inputs, plugin_folders)


def _with_inputs(trial: Trial, inputs: Any, folders: Sequence[str]) -> Trial:
    """Return a trial with the digests of what it reads in its configuration."""
    found = resolve_inputs(inputs, folders)
    digests = {one.path: one.digest for one in found}
    files = {file_key(one.path): one.place for one in found}
    return replace(trial, config={**trial.config, "inputs": digests}, files={**trial.files, **files})


def _only(task: str, parts: Mapping[str, Any]) -> None:
    """Refuse parts of a trial that another task has."""
    for name, value in parts.items():
        if value is not None:
            raise FieldError((name,), f"'{name}' goes with 'task: {task}' only: leave it out")


def _of_a_network(
    task: ResolvedTask,
    dataset: Any,
    model: Any,
    compressors: Any,
    protocol: Any,
    evaluate: Sequence[Any] | None,
    folders: Sequence[str],
) -> Trial:
    data = _under("dataset", lambda: _data(task, dataset, folders))
    network = _network(model, data, folders)
    config: dict[str, Any] = {
        "task": dict(task.config),
        "data": {},
        "model": network.config,
        "compressors": _compressors(compressors, network, folders),
    }
    check_compressors(config, folders)
    recipe = _recipe(protocol, data)
    chooses = recipe.settings.train_on == "without_validation"
    kept_out = ("validation",) if chooses else ()
    config["data"] = {split: data.splits[split].fingerprint for split in ("train", *kept_out)}
    config["protocol"] = recipe.canonical()
    evaluations, others = _under(
        "evaluate",
        lambda: resolve_evaluations(
            evaluate,
            task=task,
            dataset=data,
            chooses=chooses,
            find=lambda other: _fitting(resolve_dataset(other, folders), network),
        ),
    )
    return Trial(
        config=config,
        data=(data, *others),
        protocol=recipe,
        evaluations=evaluations,
        metrics=task.declaration.metrics,
        files=network.files,
    )


def _data(task: ResolvedTask, dataset: Any, folders: Sequence[str]) -> DatasetDeclaration:
    """Return what a trial is trained on: the dataset that it names, or what its task brings."""
    own = task.declaration.own_data
    if own is None:
        return resolve_dataset(dataset, folders)
    if dataset is not None:
        raise FieldError((), f"the task '{task.declaration.name}' brings its own data: leave 'dataset' out")
    return own(task.options)


def _network(model: Any, data: DatasetDeclaration, folders: Sequence[str]) -> ResolvedModel:
    """Return the network for some data. An error about the data themselves has the path of the dataset."""
    try:
        return resolve_model(model, data, folders)
    except FieldError as error:
        path = error.path if error.path[:1] == ("dataset",) else ("model", *error.path)
        raise FieldError(path, error.message) from error.__cause__


def _fitting(data: DatasetDeclaration, network: ResolvedModel) -> DatasetDeclaration:
    """Return data on which a trained network can be evaluated. Raises FieldError where they do not fit it."""
    has, takes = (data.input_shape, data.classes), (network.declaration.input_shape, network.declaration.classes)
    if has != takes:
        (shape, classes), (wanted, of) = (("×".join(map(str, shape)), n) for shape, n in (has, takes))
        model = network.declaration.name
        raise FieldError(
            (), f"the model '{model}' takes {wanted} images of {of} classes, '{data.name}' has {shape} of {classes}"
        )
    return data


def _compressors(compressors: Any, network: ResolvedModel, folders: Sequence[str]) -> dict[str, Any]:
    """Return the canonical options of each compressor by its site."""
    if compressors is None:
        compressors = {}
    if not isinstance(compressors, Mapping):
        raise FieldError(("compressors",), "'compressors' must be a mapping from site to compressor")
    found = {}
    for name, options in sorted(compressors.items()):
        path = ("compressors", name)
        site = _under(path, partial(_site, network, name, folders))
        found[name] = _under(path, partial(resolve_compressor, site, options, folders))
    return found


def _site(network: ResolvedModel, name: str, folders: Sequence[str]) -> Site:
    sites = network.declaration.sites
    if name not in sites:
        why = refused_site(network.config, name, folders)
        if why is not None:
            raise MisfitError((), f"no compressor can stand at '{name}' of '{network.declaration.name}': {why}")
        raise MisfitError((), f"unknown site '{name}' of '{network.declaration.name}'{did_you_mean(name, sites)}")
    return sites[name]


def _recipe(protocol: Any, data: DatasetDeclaration) -> ResolvedProtocol:
    """Return the protocol for some data: with their own normalisation where it asks for that."""
    recipe: ResolvedProtocol = _under("protocol", lambda: resolve_protocol(protocol))
    if recipe.settings.normalization == "data":
        if data.normalization is None:
            raise FieldError(("protocol", "normalization"), f"'{data.name}' has no normalization of its own")
        mean, deviation = data.normalization
        own = Normalization(mean=mean, deviation=deviation)
        source = recipe.fields["normalization"]
        told = FieldSource(own.model_dump(mode="json"), source.source, f"{source.where}: that of {data.name}")
        recipe = replace(
            recipe,
            settings=recipe.settings.model_copy(update={"normalization": own}),
            fields={**recipe.fields, "normalization": told},
        )
    channels = data.input_shape[0]
    for name in ("mean", "deviation"):
        if len(getattr(recipe.settings.normalization, name)) != channels:
            of_protocol = recipe.fields["normalization"].source != "set"  # the protocol's, not the study's
            todo = f": write 'normalization: data' for that of '{data.name}'" if of_protocol else ""
            raise FieldError(
                ("protocol", "normalization", name), f"'{name}' must have {channels} value(s), one a channel{todo}"
            )
    return recipe


def _under(path: str | tuple[str, ...], function: Any) -> Any:
    """Call a function and put `path` before the path of an error that it raises."""
    prefix = (path,) if isinstance(path, str) else path
    try:
        return function()
    except FieldError as error:
        raise type(error)((*prefix, *error.path), error.message) from error.__cause__
