"""PLACEHOLDER by the lead so that other parts import; the MODELS helper replaces this whole file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.spec.checks import FieldError, validate
from harness.spec.datasets import DatasetDeclaration
from harness.spec.errors import did_you_mean
from harness.spec.models import MODELS, ModelDeclaration


@dataclass(frozen=True)
class ResolvedModel:
    config: dict[str, Any]
    declaration: ModelDeclaration
    files: dict[str, str] = field(default_factory=dict)


def resolve_model(options: Mapping[str, Any], dataset: DatasetDeclaration, folders: Sequence[str]) -> ResolvedModel:
    kind = options["kind"]
    if kind not in MODELS:
        raise FieldError(("kind",), f"unknown model '{kind}'{did_you_mean(kind, MODELS)}")
    model = MODELS[kind]
    checked = validate(model.options, {k: v for k, v in options.items() if k != "kind"})
    if (dataset.input_shape, dataset.classes) != (model.input_shape, model.classes):
        wants = "×".join(str(n) for n in model.input_shape)
        has = "×".join(str(n) for n in dataset.input_shape)
        raise FieldError(
            ("dataset",),
            f"the model '{model.name}' takes {wants} images of {model.classes} classes, '{dataset.name}' has {has} of "
            f"{dataset.classes}",
        )
    config = {"kind": kind, **checked.model_dump(mode="json", exclude_defaults=True)}
    return ResolvedModel(config, replace(model, sites=model.sites_of(checked)))


def declared_model(config: Mapping[str, Any], folders: Sequence[str]) -> ModelDeclaration:
    model = MODELS[config["kind"]]
    options = model.options.model_validate({k: v for k, v in config.items() if k != "kind"})
    return replace(model, sites=model.sites_of(options))


def model_modules(config: Mapping[str, Any]) -> set[str]:
    return {MODELS[config["kind"]].code.partition(":")[0]}


def check_compressors(config: Mapping[str, Any], folders: Sequence[str]) -> None:
    return None
