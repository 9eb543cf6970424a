"""A trial's protocol beside the one that its study names: what the study overrides, and what the paper leaves open.

A name such as `mnist-paper` says how a trial was trained only with all that differs from the file of that protocol:
`--set protocol.epochs=1` is another recipe. Whatever shows a protocol's name shows it by `protocol_in_words`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from harness.base.checks import FieldError, validate
from harness.trial.protocol import PROTOCOLS, Protocol, ResolvedProtocol, resolve_protocol


@dataclass(frozen=True)
class Override:
    """A setting, by its dotted path, that is not as the named protocol has it."""

    setting: str
    value: Any
    named: Any

    def __str__(self) -> str:
        """Return "epochs 1 instead of 20"."""
        return f"{self.setting} {in_words(self.value)} instead of {in_words(self.named)}"


@dataclass(frozen=True)
class Unstated:
    """A setting that the paper does not state, as a trial has it: inferred from the paper, or assumed."""

    setting: str
    value: Any
    source: str


@dataclass(frozen=True)
class Recipe:
    """The protocol of a trial: its name with all that is overridden, and what the paper leaves open of the rest."""

    words: str
    overrides: tuple[Override, ...]
    unstated: tuple[Unstated, ...]


def recipe(name: str, config: Mapping[str, Any]) -> Recipe:
    """Return what `protocol_in_words`, `overrides` and `unstated` give of a trial's configuration, found once."""
    named = _named(name, config)
    if named is None:
        return Recipe(name, (), ())
    ours = _settings(config["protocol"])
    found = _differences(name, config["protocol"], ours)
    return Recipe(_in_words(name, found), found, _left_open(named, ours, found))


def overrides(name: str, config: Mapping[str, Any]) -> tuple[Override, ...]:
    """Return in what the protocol of a trial's configuration differs from the named one.

    None for a function, which has no protocol, and for a protocol that this version does not have.
    """
    return recipe(name, config).overrides


def _differences(name: str, written: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[Override, ...]:
    """Return in what a trial's settings, as they are `written` and with all defaults, differ from a protocol's."""
    in_file, theirs = _values(name)
    found: list[Override] = []
    for field in dict.fromkeys((*theirs, *ours)):
        one, other = cast("tuple[Any, Any]", (ours.get(field), theirs.get(field)))
        both = isinstance(one, Mapping) and isinstance(other, Mapping)
        if both and one.get("kind") == other.get("kind") and one.keys() == other.keys():
            keys = (key for key in other if one[key] != other[key])
            found += (Override(f"{field}.{key}", one[key], other[key]) for key in keys)
        elif one != other:  # as a whole, without what is at its default
            found.append(Override(field, written.get(field, one), in_file.get(field, other)))
    return tuple(found)


def protocol_in_words(name: str, config: Mapping[str, Any]) -> str:
    """Return a protocol's name with all that a trial overrides: "mnist-paper (epochs 1 instead of 20)"."""
    return _in_words(name, overrides(name, config))


def _in_words(name: str, found: Sequence[Override]) -> str:
    changed = ", ".join(map(str, found))
    return f"{name} ({changed})" if changed else name


def unstated(name: str, config: Mapping[str, Any]) -> tuple[Unstated, ...]:
    """Return the settings of a trial's protocol that its file calls inferred or assumed, but for overridden ones."""
    return recipe(name, config).unstated


def _left_open(named: ResolvedProtocol, ours: Mapping[str, Any], found: Sequence[Override]) -> tuple[Unstated, ...]:
    given = {override.setting for override in found}
    return tuple(
        Unstated(field, ours.get(field), entry.source)
        for field, entry in named.fields.items()
        if entry.source in {"inferred", "assumed"} and field not in given
    )


def in_words(value: object) -> str:
    """Return a setting's value in words: {kind: sgd, learning_rate: 0.05} as "sgd, learning_rate 0.05"."""
    if isinstance(value, Mapping):
        return ", ".join(in_words(v) if k == "kind" else f"{k} {in_words(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return " ".join(in_words(item) for item in value)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _named(name: str, config: Mapping[str, Any]) -> ResolvedProtocol | None:
    known = "protocol" in config and name in PROTOCOLS
    return _protocol(name) if known else None


@cache
def _protocol(name: str) -> ResolvedProtocol:
    return resolve_protocol({"kind": name})


@cache
def _values(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of a protocol of ours: as they are part of a key, and all of them."""
    named = _protocol(name)
    return named.canonical(), named.settings.model_dump(mode="json")


def _settings(canonical: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings, those at their default too; as they are written, if this version cannot read them."""
    try:
        settings: dict[str, Any] = validate(Protocol, dict(canonical)).model_dump(mode="json")
    except FieldError:
        return dict(canonical)
    return settings
