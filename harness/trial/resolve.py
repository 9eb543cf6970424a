"""From what a person wrote to a trial: every name resolved, every option checked, one canonical configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from harness.attempt.data import DatasetDeclaration
from harness.attempt.messages import EvaluationSpec
from harness.base.checks import FieldError, MisfitError, validate
from harness.base.errors import did_you_mean
from harness.plugins.plugin import load_ours
from harness.plugins.registry import PluginKind, named
from harness.trial.command import resolve_command
from harness.trial.compressor_options import resolve_compressor
from harness.trial.evaluations import Evaluations, resolve_evaluations
from harness.trial.function import resolve_function
from harness.trial.inputs import file_key, resolve_inputs
from harness.trial.models import MODELS, Site, misfit
from harness.trial.own_data import once, resolve_dataset
from harness.trial.plugin_models import (
    ResolvedModel,
    check_compressors,
    is_trained_model,
    refused_site,
    resolve_model,
)
from harness.trial.protocol import FieldSource, Normalization, Patches, ResizedCrop, ResolvedProtocol, resolve_protocol
from harness.trial.tasks import TASKS, ResolvedTask, find_task, resolve_task
from harness.trial.trial import COMMAND, FUNCTION, Trial

__all__ = ["OF_A_FUNCTION", "Trial", "named", "resolve_trial"]

_SHARED = "harness.data.photographs:shared"  # by name: data are none of this package's business
_COPIES = "harness.data.own.copies:copies"
_DATA_ROOT = "harness.data.locations:data_root"
_Found = TypeVar("_Found")

OF_A_FUNCTION = ("target", "command", "arguments", "metrics")
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
    command: Any = None,
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
    divide the channels, data that do not fit the model, `width` if nothing can be narrowed.
    """
    kind, options = _under("task", lambda: TASKS.split(task))
    of_data = {"dataset": dataset, "model": model, "compressors": compressors or None, "protocol": protocol}
    found = _under("task", lambda: find_task(kind, plugin_folders))
    if found is None and kind == COMMAND:
        _only("classification", {**of_data, "evaluate": evaluate})
        _only(FUNCTION, {"target": target})
        task, of_it = {"kind": kind, **options}, {"arguments": arguments, "metrics": metrics}
        trial = resolve_command(task=task, command=command, **of_it, folders=plugin_folders)
    elif found is None:
        _only("classification", {**of_data, "evaluate": evaluate})
        _only(COMMAND, {"command": command})
        if kind != FUNCTION:
            if target is not None:
                raise FieldError(("target",), f"the task '{kind}' is a function already: leave 'target' out")
            target = TASKS.others[kind]
        task = {"kind": kind, **options}
        trial = resolve_function(task=task, target=target, arguments=arguments, metrics=metrics, folders=plugin_folders)
    else:
        _only(FUNCTION, dict(zip(OF_A_FUNCTION, (target, command, arguments, metrics), strict=True)))
        resolved = _under("task", lambda: _once("task", [kind, options], lambda: resolve_task(kind, options, found)))
        if _is_to_be_trained(model, protocol, plugin_folders):
            _check_options(resolved)
            trial = _of_a_network(resolved, dataset, model, compressors, protocol, evaluate, plugin_folders)
        else:
            trial = _untrained(resolved, dataset, model, compressors, evaluate, plugin_folders)
    return trial if inputs is None else _with_inputs(trial, inputs, plugin_folders)


def resolve_network(model: Any, compressors: Any) -> dict[str, Any]:
    """Return "model" and "compressors" of a configuration, for one of our own models.

    Raises FieldError as `resolve_trial` does, and for a model whose sites depend on the data.
    """
    kind, given = MODELS.split(model)
    declaration = MODELS.resolve(kind)
    if isinstance(declaration, PluginKind):
        raise FieldError(("model",), f"'{kind}' is none of our own models: its sites depend on the data")
    options = validate(declaration.options, given)
    network = ResolvedModel(
        {"kind": kind, **options.model_dump(mode="json", exclude_defaults=True)}, declaration.with_options(options)
    )
    return {"model": network.config, "compressors": _compressors(compressors, network, ())}


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
    brought = task.config, dataset
    data = _under("dataset", lambda: _once("data", brought, lambda: _data(task, dataset, folders)))
    network = _once("network", (*brought, model), lambda: _network(model, data, folders))
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
    for split in ("train", *kept_out):
        if split not in data.splits:
            only = ", ".join(data.splits)
            raise FieldError(("dataset",), f"'{data.name}' has no images for '{split}', only for: {only}")
    _check_task(task, data, network, recipe)
    config["data"] = {split: data.splits[split].fingerprint for split in ("train", *kept_out)}
    config["protocol"] = recipe.canonical()
    find = partial(_evaluations, evaluate, task, data, network, folders, chooses=chooses)
    tested = _under("evaluate", lambda: _once("tested", (*brought, model, evaluate, chooses), find))
    if task.declaration.data == "pictures":
        _refuse_copies(_SHARED, data, tested.specs, tested.others)
    elif data.source is not None:
        _refuse_copies(_COPIES, data, tested.specs, tested.others)
    return Trial(
        config=config,
        data=(data, *tested.others),
        protocol=recipe,
        evaluations=tested.specs,
        metrics=task.declaration.metrics_of(data),
        files={**network.files, **tested.files},
    )


def _is_to_be_trained(model: Any, protocol: Any, folders: Sequence[str]) -> bool:
    """Return whether a study wants a model trained. Raises FieldError for a protocol of one that cannot be."""
    if model is None:
        return True  # which the model's own error will say
    trains, has_weights = _under("model", lambda: is_trained_model(model, folders))
    if not trains and protocol is not None:
        name = MODELS.split(model)[0]
        raise FieldError(("protocol",), f"'{name}' is not trained: leave 'protocol' out, or write 'protocol: null'")
    return trains and (protocol is not None or not has_weights)


def _check_options(task: ResolvedTask) -> None:
    """Refuse options of a task that do not say how to train."""
    for name in task.declaration.of_training:
        if getattr(task.options, name) is None:
            raise FieldError(("task", name), f"'{name}' is missing")


def _untrained(
    task: ResolvedTask,
    dataset: Any,
    model: Any,
    compressors: Any,
    evaluate: Sequence[Any] | None,
    folders: Sequence[str],
) -> Trial:
    """Return the trial of a model that is evaluated as it is: it has no protocol, and no training data."""
    declared = task.declaration
    data = _under("dataset", lambda: _data(task, dataset, folders, test_only=True))
    network = _network(model, data, folders, trained=False)
    name = network.declaration.name
    if declared.data == "labelled" and declared.own_data is None and network.declaration.classes == 0:
        raise FieldError(("model",), f"'{name}' gives images, not classes: it is not for {declared.name}")
    if not declared.untrained:
        raise FieldError(("protocol",), f"{declared.name} evaluates only what it has trained: name a protocol")
    for option in declared.of_training:
        if getattr(task.options, option) != declared.options.model_fields[option].default:
            train = ", or name a protocol to train it" if network.declaration.trains else ""
            words = f"'{name}' is not trained: leave '{option}' out of the task, and write it into 'evaluate'{train}"
            raise FieldError(("task", option), words)
    if evaluate is None and declared.usual(task.options) is None:
        todo = "say what it is tested on, e.g. evaluate: [{sigma: 25}]"
        raise FieldError(("evaluate",), f"'{name}' is not trained: {todo}")
    config = {
        "task": dict(task.config),
        "data": {},
        "model": network.config,
        "compressors": _compressors(compressors, network, folders),
    }
    check_compressors(config, folders)
    tested = _under("evaluate", lambda: _evaluations(evaluate, task, data, network, folders))
    names = {evaluation.dataset for evaluation in tested.specs}
    return Trial(
        config=config,
        data=tuple(one for one in (data, *tested.others) if one.name in names),
        protocol=None,
        evaluations=tested.specs,
        metrics=(*declared.metrics_of(data), *(declared.of_known_classes if network.declaration.known else ())),
        files={**network.files, **tested.files},
        seeded=network.declaration.seeded or bool(config["compressors"]),  # whose new layers are drawn
    )


def _evaluations(
    wanted: Sequence[Any] | None,
    task: ResolvedTask,
    data: DatasetDeclaration,
    network: ResolvedModel,
    folders: Sequence[str],
    *,
    chooses: bool = False,
) -> Evaluations:
    """Return what a trial is evaluated on, and what this takes beside its own data."""

    def find(other: Any) -> DatasetDeclaration:
        return _fitting(resolve_dataset(other, folders, test_only=True), network)

    return resolve_evaluations(wanted, task=task, dataset=data, chooses=chooses, find=find, folders=folders)


def _data(task: ResolvedTask, dataset: Any, folders: Sequence[str], *, test_only: bool = False) -> DatasetDeclaration:
    """Return what a trial is trained on, or only tested: the dataset that it names, or what its task brings."""
    own = task.declaration.own_data
    if own is None:
        return resolve_dataset(dataset, folders, test_only=test_only)
    if dataset is not None:
        raise FieldError((), f"the task '{task.declaration.name}' brings its own data: leave 'dataset' out")
    return own(task.options)


def _check_task(task: ResolvedTask, data: DatasetDeclaration, network: ResolvedModel, recipe: ResolvedProtocol) -> None:
    """Refuse what does not fit a task: images without classes to classify, a network that gives something else."""
    name, model, settings = task.declaration.name, network.declaration, recipe.settings
    if task.declaration.own_data is not None:
        return
    patches, has_sizes = isinstance(settings.augmentation, Patches), 0 in data.input_shape
    size = settings.augmentation.size if isinstance(settings.augmentation, Patches) else 0
    too_large = not has_sizes and size > min(data.input_shape[1:])
    todo = "write 'augmentation: {kind: patches, size: 40, per_image: 100}', or 'size' into the dataset"
    faults: tuple[tuple[bool, tuple[str, ...], str], ...]
    if task.declaration.data == "labelled":
        faults = (
            (not data.has_labels, ("dataset",), f"the images of '{data.name}' have no classes, which {name} needs"),
            (model.classes == 0, ("model",), f"'{model.name}' gives images, not classes: it is not for {name}"),
            (patches, ("protocol", "augmentation"), f"a patch is not the whole image: patches are not for {name}"),
        )
    else:
        own, smoothed = settings.normalization != "none", settings.label_smoothing > 0
        whole, resized = "short_side" in (data.source or {}), isinstance(settings.augmentation, ResizedCrop)
        faults = (
            (model.classes > 0, ("model",), f"'{model.name}' gives classes, not images: it is not for {name}"),
            (whole, ("dataset", "short_side"), "images that are kept whole are for classification: leave it out"),
            (resized, ("protocol", "augmentation"), f"crops that are resized are not for {name}"),
            (smoothed, ("protocol", "label_smoothing"), f"{name} has no labels to smooth"),
            (own, ("protocol", "normalization"), f"{name} takes images as they are: write 'normalization: none'"),
            (has_sizes and not patches, ("protocol", "augmentation"), f"'{data.name}' has several sizes: {todo}"),
            (too_large, ("protocol", "augmentation"), f"the patches are larger than the images of '{data.name}'"),
        )
    for is_so, path, message in faults:
        if is_so:
            raise FieldError(path, message)


def _refuse_copies(
    search: str, data: DatasetDeclaration, evaluations: Sequence[EvaluationSpec], others: Sequence[DatasetDeclaration]
) -> None:
    """Refuse test images that are among the training images: as a whole or in part, or those of other folders."""
    for tested in (data, *others):
        if any(one.dataset == tested.name and one.split == "test" for one in evaluations):
            found = once(f"{search} {data} {tested}", partial(load_ours(search), data, tested, load_ours(_DATA_ROOT)()))
            if found is not None:
                raise FieldError(("evaluate",), found)


def _network(model: Any, data: DatasetDeclaration, folders: Sequence[str], *, trained: bool = True) -> ResolvedModel:
    """Return the network for some data. An error about the data themselves has the path of the dataset."""
    try:
        return resolve_model(model, data, folders, trained=trained)
    except FieldError as error:
        path = error.path if error.path[:1] == ("dataset",) else ("model", *error.path)
        raise FieldError(path, error.message) from error.__cause__


def _fitting(data: DatasetDeclaration, network: ResolvedModel) -> DatasetDeclaration:
    """Return data on which a trained network can be evaluated. Raises FieldError if they do not fit it."""
    if why := misfit(network.declaration, data):
        raise FieldError((), why)
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
            raise MisfitError((), f"no compressor can go at '{name}' of '{network.declaration.name}': {why}")
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
    if recipe.settings.normalization == "none":
        return recipe
    for name in ("mean", "deviation"):
        if len(getattr(recipe.settings.normalization, name)) != channels:
            of_protocol = recipe.fields["normalization"].source != "set"  # the protocol's, not the study's
            todo = f": write 'normalization: data' for that of '{data.name}'" if of_protocol else ""
            raise FieldError(
                ("protocol", "normalization", name), f"'{name}' must have {channels} value(s), one per channel{todo}"
            )
    return recipe


def _once(part: str, written: Any, find: Callable[[], _Found]) -> _Found:
    """Return what a part of a trial is resolved to: found once per study, and shared by all of its trials."""
    return once(f"{part} {written!r}", find)


def _under(path: str | tuple[str, ...], function: Any) -> Any:
    """Call a function and put `path` before the path of an error that it raises."""
    prefix = (path,) if isinstance(path, str) else path
    try:
        return function()
    except FieldError as error:
        raise type(error)((*prefix, *error.path), error.message) from error.__cause__
