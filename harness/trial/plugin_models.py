"""Which network a study means: one of ours, `torchvision:NAME`, an entry point's name, or a plug-in `module:object`.

A plug-in's network (torchvision's are too) mostly does not declare its sites: they are found by running it without
values (`harness.models.foreign`), which wakes torch; what was
found is kept on disk under everything that it follows from (`harness.plugins.cache`).
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.attempt.data import DatasetDeclaration
from harness.base.checks import FieldError, MisfitError, validate
from harness.base.errors import HarnessError, in_one_line
from harness.plugins.cache import cached
from harness.plugins.plugin import (
    check_options,
    is_plugin,
    load_object,
    load_ours,
    load_plugin,
    outside_of,
    plugin_options,
)
from harness.plugins.registry import PluginKind
from harness.plugins.signature import without
from harness.plugins.timm_models import TIMM
from harness.plugins.torchvision_models import (
    TORCHVISION,
    is_published,
    torchvision_digest,
    torchvision_name,
)
from harness.trial.denoisers import PublishedOptions
from harness.trial.imagenet_classes import CLASSES, IMAGENET
from harness.trial.models import MODELS, ModelDeclaration, Site, input_scales, is_undeclared, misfit

_COLOURS = 3  # channels that timm's networks take, unless they are told others
_FOREIGN = "harness.models.foreign"
_WEIGHTS = "harness.models.weights"
_OURS = frozenset({"code", "input_shape", "classes"})
"""What is in the configuration of a plug-in's network beside its options."""
_OF_WEIGHTS = frozenset({"weights", "loses", "input_scales"})
"""What is there of torchvision's networks and a file of weights: no option of the network itself."""
_SCALES = {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}
"""What most of torchvision's weights for ImageNet take away from a colour, on 0…1, and divide it by."""
_TRANSFORMING = {name: {"transform_input": True} for name in ("googlenet", "inception_v3")}
"""Options that torchvision's builders give networks with published weights."""


@dataclass(frozen=True)
class ResolvedModel:
    """A network, resolved: `files` says where files lie that its configuration names by their digest."""

    config: dict[str, Any]
    declaration: ModelDeclaration
    files: dict[str, str] = field(default_factory=dict)


def resolve_model(
    written: Any, dataset: DatasetDeclaration, folders: Sequence[str], *, trained: bool = True
) -> ResolvedModel:
    """Return the network that `NAME` or `{kind: NAME, option: value}` means for some data.

    One of torchvision's that is not trained needs weights. It is then given how its inputs are scaled, which a protocol
    says otherwise, and has as many classes as its weights: those of the data, or ImageNet's 1,000 if it knows these
    by name.

    Raises FieldError: an unknown name or option, data that do not fit, a network that cannot be looked at.
    """
    kind, given = MODELS.split(written)
    found = MODELS.resolve(kind)
    if not isinstance(found, PluginKind):
        return _declared(kind, found, given, dataset, {}, folders)
    kind, classes = found.reference, dataset.classes
    for name in given:
        if name in _OURS:
            raise FieldError((name,), f"'{name}' follows from the data and the code, it is not an option")
    if kind.startswith(TORCHVISION):
        code = torchvision_digest(torchvision_name(kind))
        if given.get("input_scales") is not None and trained:
            raise FieldError(("input_scales",), "what is trained has its 'normalization' in its protocol")
        kept, files, scales = _weights(torchvision_name(kind), given, folders)
        if not trained:
            kept["input_scales"] = _scales(kept.get("input_scales"), scales, dataset)
            classes = _classes_of(kept["weights"], files, dataset)
    else:
        target, code = load_plugin(kind, folders)
        declaration = getattr(target, "declaration", None)
        if isinstance(declaration, ModelDeclaration):
            return _declared(kind, declaration, given, dataset, {"code": code}, folders)
        if not callable(target) or (isinstance(target, type) and not _is_network(target)):
            wanted = "a subclass of torch.nn.Module, or a function that returns one, is wanted"
            raise FieldError(("kind",), f"'{kind}' is not a network: {wanted}")
        kept, files = plugin_options(without(target, {"num_classes", "classes"} - {*given}), given), {}
        if kind.startswith(TIMM) and dataset.input_shape[0] != _COLOURS:
            kept = {"in_chans": dataset.input_shape[0], **kept}
    check_options(kind, kept)
    config = {
        "kind": kind,
        "code": code,
        "input_shape": list(dataset.input_shape),
        "classes": classes,
        **kept,
    }
    try:
        return ResolvedModel(config, declared_model(config, folders), files)
    except HarnessError as error:
        raise FieldError(("kind",), f"'{kind}': {error}") from error


def is_trained_model(written: Any, folders: Sequence[str]) -> tuple[bool, bool]:
    """Return whether a model that a study names can be trained, and whether it starts with a file of weights.

    Networks that declare nothing are trained always: a task must know how their inputs are scaled. Raises FieldError
    for an unknown one.
    """
    kind, given = MODELS.split(written)
    found: Any = MODELS.resolve(kind)
    if isinstance(found, PluginKind):
        if found.reference.startswith(TORCHVISION):
            return True, given.get("weights") is not None
        found = getattr(load_plugin(found.reference, folders)[0], "declaration", None)
    if not isinstance(found, ModelDeclaration):
        return True, False
    return found.trains, issubclass(found.options, PublishedOptions) and given.get("weights") is not None


def _is_network(cls: type) -> bool:
    """Return whether a class is a torch.nn.Module, without waking torch for those that are none."""
    return any((base.__module__, base.__qualname__) == ("torch.nn.modules.module", "Module") for base in cls.__mro__)


def declared_model(config: Mapping[str, Any], folders: Sequence[str]) -> ModelDeclaration:
    """Return what is declared of a resolved network, its sites with its options; a plug-in's are looked for."""
    kind = config["kind"]
    options = {name: value for name, value in config.items() if name not in {"kind", "code"}}
    model = MODELS.get(kind)
    if model is None and not kind.startswith(TORCHVISION):
        given = getattr(load_object(kind, folders), "declaration", None)
        model = given if isinstance(given, ModelDeclaration) else None
    if model is not None:
        return model.with_options(model.options.model_validate(options))
    bare = bare_model(config)
    with in_one_line("it cannot be made"):
        imports = _imports([kind], folders)
        rows = cached("sites", bare, lambda: load_ours(f"{_FOREIGN}:describe")(bare, folders), imports)
    channels, height, width = config["input_shape"]
    sites = {path: Site(path, count, narrowable) for path, count, narrowable in rows}
    return ModelDeclaration(
        kind,
        (channels, height, width),
        config["classes"],
        sites,
        f"{_FOREIGN}:build_foreign",
        seeded=input_scales(config) is None,
        known=IMAGENET if input_scales(config) is not None and config["classes"] == CLASSES else {},
    )


def bare_model(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's configuration without what it says of a file of weights."""
    of_weights = _OF_WEIGHTS if str(config["kind"]).startswith(TORCHVISION) else frozenset()
    return {name: value for name, value in config.items() if name not in of_weights}


def _classes_of(weights: str, files: Mapping[str, str], dataset: DatasetDeclaration) -> int:
    """Return for how many classes some weights are. Raises FieldError if they fit neither the data nor their names."""
    try:
        classes = int(cached("classes", weights, lambda: load_ours(f"{_WEIGHTS}:classes_of")(files[weights])))
    except HarnessError as error:
        raise FieldError(("weights",), str(error)) from error
    knows = dataset.class_names is not None and all(name in IMAGENET for name in dataset.class_names)
    if classes != dataset.classes and not (classes == CLASSES and knows):
        words = f"the weights are for {classes:,} classes, the data have {dataset.classes:,}"
        raise FieldError(("weights",), words)
    return classes


def _scales(written: Any, usual: Mapping[str, Any], dataset: DatasetDeclaration) -> dict[str, list[float]]:
    """Return by what the inputs of a network are scaled. Raises FieldError if that is not what it must be."""
    channels = dataset.input_shape[0]
    form = f"{{mean: [...], deviation: [...]}}, each with {channels} number(s) on 0…1"
    if written is None and channels != len(usual["mean"]):
        raise FieldError(("input_scales",), f"'input_scales' is missing: {form}, as the weights were trained with")
    found = usual if written is None else written
    if not isinstance(found, Mapping) or found.keys() != _SCALES.keys():
        raise FieldError(("input_scales",), f"'input_scales' must be {form}, not {written!r}")
    for name, values in found.items():
        fits = isinstance(values, list | tuple) and len(values) == channels
        if not fits or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
            raise FieldError(("input_scales", name), f"'{name}' must be {channels} number(s), not {values!r}")
    if min(found["deviation"]) <= 0:
        raise FieldError(("input_scales", "deviation"), "a deviation must be above 0")
    return {name: [float(value) for value in values] for name, values in found.items()}


def model_modules(config: Mapping[str, Any]) -> set[str]:
    """Return our modules that a network is made by; a plug-in's own code is in its configuration."""
    kind = config["kind"]
    return {MODELS[kind].code.partition(":")[0]} if kind in MODELS else {_FOREIGN}


def refused_site(config: Mapping[str, Any], path: str, folders: Sequence[str]) -> str | None:
    """Return why a module of a plug-in's network is not a site; None if it has no such module or declares its sites."""
    if not is_undeclared(config):
        return None
    bare = bare_model(config)
    why: str | None = load_ours(f"{_FOREIGN}:refused_site")(bare, path, folders)
    return why


def check_compressors(config: Mapping[str, Any], folders: Sequence[str]) -> None:
    """Refuse, with a FieldError, a set of compressors that cannot be combined in a plug-in's network."""
    model, compressors = config["model"], config["compressors"]
    if not compressors or not is_undeclared(model):
        return
    parts = {"model": bare_model(model), "compressors": compressors}
    kinds = [model["kind"], *(options["kind"] for options in compressors.values())]
    imports = _imports(kinds, folders)
    try:
        with in_one_line("it cannot be made with them"):
            refusal = cached("standing", parts, lambda: load_ours(f"{_FOREIGN}:refusal")(parts, folders), imports)
    except HarnessError as error:
        refusal = str(error)
    if refusal is not None:
        raise MisfitError(("compressors",), f"'{model['kind']}': {refusal}")


def _imports(kinds: Iterable[str], folders: Sequence[str]) -> frozenset[str]:
    """Return what the plug-ins among networks and compressors import beside their own code."""
    plugins = {kind for kind in kinds if is_plugin(kind) and not kind.startswith((TORCHVISION, TIMM))}
    return frozenset(name for kind in plugins for name in outside_of(kind, folders))


def _declared(
    kind: str,
    model: ModelDeclaration,
    given: Any,
    dataset: DatasetDeclaration,
    code: Mapping[str, str],
    folders: Sequence[str],
) -> ResolvedModel:
    checked, files = validate(model.options, given), dict[str, str]()
    if isinstance(checked, PublishedOptions) and checked.weights is not None:
        digest, place = weights_file(checked.weights, folders)
        checked, files = checked.model_copy(update={"weights": digest}), {digest: place}
    declaration = model.with_options(checked)
    if why := misfit(declaration, dataset):
        raise FieldError(("dataset",), why)
    config = {"kind": kind, **checked.model_dump(mode="json", exclude_defaults=True), **code}
    return ResolvedModel(config, declaration, files)


def _weights(
    network: str, given: Mapping[str, Any], folders: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str], Mapping[str, Any]]:
    """Return the options with the weights' digest, where their file lies, and the usual scales of their inputs.

    `IMAGENET1K_V1`, and other words of torchvision's for its weights of a network, are files that it fetches. It makes
    some networks with `transform_input` for them.
    """
    kept = {name: value for name, value in given.items() if value is not None}
    if "num_classes" in kept:
        raise FieldError(("num_classes",), "'num_classes' follows from the dataset")
    loses = kept.get("loses", "slice")
    if loses not in ("slice", "fold", "fresh") or ("loses" in kept and "weights" not in kept):
        raise FieldError(("loses",), "'loses' (slice, fold or fresh) goes with 'weights': how its layers lose channels")
    if "weights" not in kept:
        return kept, {}, _SCALES
    written, scales = str(kept["weights"]), _SCALES
    if is_published(written):
        word = written
        written = load_ours(f"{_WEIGHTS}:published_weights")(network, word)
        scales = load_ours(f"{_WEIGHTS}:published_scales")(network, word)
        kept = {**_TRANSFORMING.get(network, {}), **kept}
    digest, place = weights_file(written, folders)
    return {**kept, "weights": digest, "loses": loses}, {digest: place}, scales


def weights_file(written: str, folders: Sequence[str]) -> tuple[str, str]:
    """Return the SHA-256 of a file of weights and where it lies: beside the study, or where its name says.

    Raises FieldError if there is none.
    """
    places = [Path(folder, written).expanduser() for folder in [*folders, "."]]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise FieldError(("weights",), f"there is no file '{written}'")
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest(), str(file.resolve())
