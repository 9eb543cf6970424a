"""From what a person wrote to a trial: every name resolved, every option checked, one canonical configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.spec.attempt import DatasetSplit, EvaluationSpec
from harness.spec.checks import FieldError, validate
from harness.spec.compressors import COMPRESSORS
from harness.spec.datasets import DATASETS, DatasetDeclaration
from harness.spec.errors import did_you_mean
from harness.spec.evaluations import resolve_evaluations
from harness.spec.keys import canonical_json, trial_key
from harness.spec.models import MODELS, ModelDeclaration, ModelOptions, Site
from harness.spec.plugins import is_plugin, load_plugin, plugin_options
from harness.spec.protocol import ResolvedProtocol, resolve_protocol

TASKS = ("classification",)


@dataclass(frozen=True)
class Trial:
    """What is trained, resolved: its configuration is all that its key is made of."""

    config: Mapping[str, Any]
    dataset: DatasetDeclaration
    protocol: ResolvedProtocol
    evaluations: tuple[EvaluationSpec, ...]  # what its runs are tested on, each once; not part of the key

    @cached_property
    def key(self) -> str:
        """The hash of the configuration."""
        return trial_key(self.config)

    @property
    def datasets(self) -> tuple[DatasetSplit, ...]:
        """The splits that the trial is trained and evaluated on, or keeps out of training, each once, `train` first."""
        own = self.dataset.splits
        evaluated = (DatasetSplit(e.dataset, e.split, e.fingerprint, e.images, e.bytes) for e in self.evaluations)
        kept_out = () if self.trains_on_all else (own["validation"],)
        return tuple(dict.fromkeys((own["train"], *kept_out, *evaluated)))

    @property
    def trains_on_all(self) -> bool:
        """Whether the validation split is trained on too, so that the test set is what may be looked at."""
        return self.protocol.settings.train_on == "all"


def resolve_trial(
    *,
    task: Any,
    dataset: Any,
    model: Any,
    compressors: Any,
    protocol: Any,
    evaluate: Sequence[Any] | None = None,
    plugin_folders: Sequence[str] = (),
) -> Trial:
    """Resolve the parts of a trial, each a name or `{kind: NAME, option: …}`, compressors by site.

    `evaluate` is what its runs are tested on, by default the test split of its dataset, or the validation split where
    that is kept out of training: a trial that chooses something never meets the test set.

    Raises FieldError with the path of what is wrong: an unknown word, an option out of range, a stride that does not
    divide the channels, data that do not fit the model, `width` where nothing can be narrowed.
    """
    task_name = _kind(task, ("task",), TASKS, "task")
    declared_data = DATASETS[_kind(dataset, ("dataset",), DATASETS, "dataset")]
    declared_model = MODELS[_kind(model, ("model",), MODELS, "model", options=True)]
    model_options = _under("model", _model_options, declared_model, named(model))
    sites = declared_model.sites_of(model_options)
    _check_shapes(declared_data, declared_model)
    if not isinstance(compressors, Mapping):
        raise FieldError(("compressors",), "'compressors' must be a mapping from site to compressor")
    by_site = {
        site: _under(
            ("compressors", site), _compressor, declared_model.name, sites, site, named(options), plugin_folders
        )
        for site, options in sorted(compressors.items())
    }
    resolved = _under("protocol", resolve_protocol, named(protocol))
    channels = declared_data.input_shape[0]
    for name in ("mean", "deviation"):
        if len(getattr(resolved.settings.normalization, name)) != channels:
            raise FieldError(
                ("protocol", "normalization", name), f"'{name}' must have {channels} value(s), one a channel"
            )
    config = {
        "task": {"kind": task_name},
        "data": _data(declared_data, resolved),
        "model": {"kind": declared_model.name, **model_options.model_dump(mode="json", exclude_defaults=True)},
        "compressors": by_site,
        "protocol": resolved.canonical(),
    }
    trains_on_all = resolved.settings.train_on == "all"
    evaluations = _under(
        "evaluate",
        lambda: resolve_evaluations(
            evaluate,
            task=task_name,
            dataset=declared_data,
            chooses=not trains_on_all,
            check_fit=lambda other: _check_shapes(other, declared_model),
        ),
    )
    return Trial(config=config, dataset=declared_data, protocol=resolved, evaluations=evaluations)


def _data(dataset: DatasetDeclaration, protocol: ResolvedProtocol) -> dict[str, str]:
    """Return the fingerprints of what is trained on, and of what is kept out of it."""
    kept_out = {"validation"} if protocol.settings.train_on == "without_validation" else set()
    return {split: dataset.splits[split].fingerprint for split in ("train", *kept_out)}


def named(value: Any) -> Any:
    """Return `{kind: NAME}` for a bare name, anything else as it is."""
    return {"kind": value} if isinstance(value, str) else value


def _under(path: str | tuple[str, ...], function: Any, *args: Any) -> Any:
    """Call a function and put `path` before the path of an error that it raises."""
    prefix = (path,) if isinstance(path, str) else path
    try:
        return function(*args)
    except FieldError as error:
        raise FieldError((*prefix, *error.path), error.message) from error.__cause__


def _kind(value: Any, path: tuple[str, ...], known: Any, what: str, *, options: bool = False) -> str:
    """Return the name in `value`, which may have options only where they are checked by somebody else."""
    value = named(value)
    if value is None:
        raise FieldError(path, f"'{what}' is missing{did_you_mean('', known)}")
    if not isinstance(value, Mapping) or "kind" not in value:
        raise FieldError(path, f"a {what} is written NAME or {{kind: NAME, option: value}}, not {value!r}")
    kind = value["kind"]
    if kind not in list(known):
        raise FieldError((*path, "kind"), f"unknown {what} '{kind}'{did_you_mean(kind, known)}")
    extra = [key for key in value if key != "kind"]
    if extra and not options:
        raise FieldError((*path, extra[0]), f"unknown key '{extra[0]}': the {what} '{kind}' has no options")
    return str(kind)


def _model_options(model: ModelDeclaration, options: Mapping[str, Any]) -> ModelOptions:
    return validate(model.options, {key: value for key, value in options.items() if key != "kind"})


def _check_shapes(dataset: DatasetDeclaration, model: ModelDeclaration) -> None:
    if (dataset.input_shape, dataset.classes) != (model.input_shape, model.classes):
        wants = "×".join(str(n) for n in model.input_shape)
        has = "×".join(str(n) for n in dataset.input_shape)
        raise FieldError(
            ("dataset",),
            f"the model '{model.name}' takes {wants} images of {model.classes} classes, '{dataset.name}' has {has} of "
            f"{dataset.classes}",
        )


def _compressor(
    model: str, sites: Mapping[str, Site], site_name: str, options: Any, plugin_folders: Sequence[str]
) -> dict[str, Any]:
    """Return the canonical options of a compressor at a site of a model."""
    if site_name not in sites:
        raise FieldError((), f"unknown site '{site_name}' of '{model}'{did_you_mean(site_name, sites)}")
    site = sites[site_name]
    if not isinstance(options, Mapping) or "kind" not in options:
        raise FieldError(("kind",), f"a compressor is written {{kind: NAME, stride: N}}, not {options!r}")
    kind = options["kind"]
    given = {key: value for key, value in options.items() if key != "kind"}
    if is_plugin(kind):
        return _plugin(site, kind, given, plugin_folders)
    if not isinstance(kind, str) or kind not in COMPRESSORS:
        raise FieldError(("kind",), f"unknown compressor '{kind}'{did_you_mean(kind, COMPRESSORS)}")
    declaration = COMPRESSORS[kind]
    checked = validate(declaration.options, given)
    _check_stride(site, checked.stride)
    if declaration.narrows and not site.narrowable:
        raise FieldError(("kind",), f"'{kind}' cannot stand at '{site_name}': nothing before it can be narrowed alone")
    return {"kind": kind, **checked.model_dump(mode="json", exclude_defaults=True)}


def _plugin(site: Site, kind: str, given: Mapping[str, Any], folders: Sequence[str]) -> dict[str, Any]:
    """Return the canonical options of a plug-in at a site: its code's digest among them."""
    target, digest = load_plugin(kind, folders)
    if "code" in given:
        raise FieldError(("code",), "'code' is where the digest of a plug-in's code stands, no option")
    kept = plugin_options(target, given)
    try:
        canonical_json(kept)
    except ValueError:
        raise FieldError(("kind",), f"the options of '{kind}' must be finite numbers, words, lists: {kept}") from None
    try:
        stride = target(**given).stride
    except Exception as error:
        reason = " ".join(str(error).split())
        raise FieldError(("kind",), f"'{kind}' refuses its options: {reason}") from error
    if type(stride) is not int or stride < 1:
        raise FieldError(("stride",), f"'{kind}' has stride {stride!r}: a whole number from 1 is wanted")
    _check_stride(site, stride)
    return {"kind": kind, **kept, "code": digest}


def _check_stride(site: Site, stride: int) -> None:
    if site.channels % stride:
        divisors = [str(n) for n in range(2, site.channels + 1) if site.channels % n == 0]
        raise FieldError(
            ("stride",),
            f"stride {stride} does not divide the {site.channels} channels at '{site.name}'; "
            f"possible: {', '.join(divisors)}",
        )
