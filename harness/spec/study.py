"""A study file as a Study: checked, expanded, with every trial resolved.

    study: mnist                      # its name in the store
    task: classification              # defaults, which an entry may override
    dataset: mnist
    model: mnist_cnn
    protocol: mnist-paper             # each a name, or {kind: NAME, option: …}
    seeds: [0, 1]
    trials:
      - name: "Feature pooling, {reduction}"
        at: conv2
        compressor: {kind: spatial}
        grid: {compressor.stride: [2, 4]}

Expansion is deterministic: entries in order, and within an entry the product of its grid, the last path fastest.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from harness.spec.checks import FieldError, validate
from harness.spec.errors import HarnessError, SpecError
from harness.spec.grid import Override, Point, apply, normalise, points
from harness.spec.names import render_name
from harness.spec.resolve import Trial, resolve_trial
from harness.spec.source import Source, YamlPath, read_source

Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Part = str | dict[str, Any]
_SHORTHAND = {"at", "compressor"}


class _Defaults(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    task: Part | None = None
    dataset: Part | None = None
    model: Part | None = None
    protocol: Part | None = None
    at: str | list[str] | None = None
    compressor: Part | None = None
    compressors: dict[str, Part] | None = None
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None


class _Entry(_Defaults):
    name: Annotated[str, Field(min_length=1)]
    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)] | None = None


class ExecutionOptions(BaseModel):
    """The study's wishes for how it is carried out; never in a key, and the command line overrides them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    checkpoint_every_s: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 30.0
    threads: Annotated[int, Field(ge=1, strict=True)] | None = None
    deterministic: Annotated[bool, Field(strict=True)] = True


class _StudyFile(_Defaults):
    study: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    description: str = ""
    execution: ExecutionOptions = ExecutionOptions()
    trials: Annotated[list[_Entry], Field(min_length=1)]


@dataclass(frozen=True)
class StudyTrial:
    """A trial's place in a study."""

    name: str
    position: int
    trial: Trial
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """A study, expanded. `plugin_folders` is where its plug-ins are looked for first."""

    name: str
    description: str
    trials: tuple[StudyTrial, ...]
    execution: ExecutionOptions
    spec_yaml: str
    file: str
    plugin_folders: tuple[str, ...]
    only: str = "*"  # a pattern: what of it is asked for now; the study itself stays whole

    @property
    def chosen(self) -> tuple[StudyTrial, ...]:
        """The trials whose names match `only`."""
        return tuple(item for item in self.trials if fnmatchcase(item.name, self.only))

    @property
    def spec_sha(self) -> str:
        """The SHA-256 of the file's text."""
        return hashlib.sha256(self.spec_yaml.encode()).hexdigest()


def load_study(path: Path | str, overrides: Sequence[Override] = ()) -> Study:
    """Read, check and expand a study file. Raises SpecError with file and line for the first thing that is wrong."""
    source = read_source(path)
    try:
        file = validate(_StudyFile, source.data)
    except FieldError as error:
        raise source.error(error.path, error.message) from None
    folders = (str(Path(path).resolve().parent),)
    trials = tuple(_unique(source, _expand(source, overrides, folders)))
    return Study(
        name=file.study,
        description=file.description,
        trials=trials,
        execution=file.execution,
        spec_yaml=source.text,
        file=str(path),
        plugin_folders=folders,
    )


def _expand(source: Source, overrides: Sequence[Override], folders: Sequence[str]) -> Iterator[tuple[int, StudyTrial]]:
    """Yield each point of each entry's grid, resolved, with the entry's number."""
    defaults = {key: source.data[key] for key in _Defaults.model_fields if source.data.get(key) is not None}
    for number, entry in enumerate(source.data["trials"]):
        own = {key: value for key, value in entry.items() if key not in {"name", "grid"} and value is not None}
        base = {**defaults, **own}
        for one, other in ((_SHORTHAND, {"compressors"}), ({"compressors"}, _SHORTHAND)):
            if own.keys() & one:  # its own way of saying it replaces the default's
                base = {key: value for key, value in base.items() if key not in other - own.keys()}
        for point in points(entry.get("grid") or {}):
            try:
                yield number, _trial(entry["name"], base, point, overrides, folders)
            except FieldError as error:
                raise _placed(source, number, error, point, overrides) from error.__cause__


def _trial(
    name: str, base: Mapping[str, Any], point: Point, overrides: Sequence[Override], folders: Sequence[str]
) -> StudyTrial:
    parts = apply(normalise(base), point, {override.path: override.value for override in overrides})
    seeds = parts.pop("seeds", None)
    if seeds is None:
        raise FieldError(("seeds",), "'seeds' is missing: a list of whole numbers from 0")
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and 0 <= s < 2**32 for s in seeds):
        raise FieldError(("seeds",), f"'seeds' must be a list of whole numbers from 0, not {seeds!r}")
    if len(set(seeds)) != len(seeds):
        raise FieldError(("seeds",), f"a seed stands twice in {seeds}")
    rendered = render_name(name, parts)
    known = {key: parts.get(key) for key in ("task", "dataset", "model", "protocol")}
    trial = resolve_trial(**known, compressors=parts.get("compressors", {}), plugin_folders=folders)
    return StudyTrial(name=rendered, position=0, trial=trial, seeds=tuple(seeds))


def _unique(source: Source, expanded: Iterator[tuple[int, StudyTrial]]) -> Iterator[StudyTrial]:
    """Number the trials, give one that occurs twice once (with the seeds of both), and refuse one name for two."""
    by_name: dict[str, StudyTrial] = {}
    by_key: dict[str, StudyTrial] = {}
    for entry, item in expanded:
        key = item.trial.key
        if item.name in by_name and by_name[item.name].trial.key != key:
            raise source.error(
                ("trials", entry, "name"),
                f"two trials would both be named '{item.name}': put what differs into the name, "
                "e.g. {compressor.stride}",
            )
        first = by_key.setdefault(key, replace(item, position=len(by_key)))
        by_key[key] = replace(first, seeds=tuple(dict.fromkeys((*first.seeds, *item.seeds))))
        by_name.setdefault(item.name, item)
    return iter(by_key.values())


def _placed(source: Source, entry: int, error: FieldError, point: Point, overrides: Sequence[Override]) -> HarnessError:
    """Say where the value stands that an error is about: on the command line, in the entry's grid, or in the file."""
    forms = [error.path, *_shorthand(error.path)]
    if to_blame := _last_setter([override.path for override in overrides], forms):
        return SpecError(error.message, file=f"--set {to_blame}")
    if to_blame := _last_setter(point, forms):
        values = source.data["trials"][entry]["grid"][to_blame]
        return source.error(("trials", entry, "grid", to_blame, values.index(point[to_blame])), error.message)
    for form in forms:
        for place in (("trials", entry), ()):
            if source.has((*place, *form[:1])):
                return source.error((*place, *form), error.message)
    return source.error(("trials", entry), error.message)


def _last_setter(dotted: Iterable[str], forms: Sequence[YamlPath]) -> str | None:
    """Return which of the dotted paths set what an error is about: the longest, and of these the last."""
    found = None
    for path in dotted:
        keys = tuple(path.split("."))
        sets = any(form[: len(keys)] == keys for form in forms) or forms[0] in ((path,), keys[: len(forms[0])])
        if sets and (found is None or len(keys) >= len(found.split("."))):
            found = path
    return found


def _shorthand(path: YamlPath) -> list[YamlPath]:
    """Return what `compressors.SITE.x` may have been written as: `compressor.x`, or `at` for the site itself."""
    if path[:1] != ("compressors",) or len(path) < 2:
        return []
    return [("compressor", *path[2:])] if len(path) > 2 else [("at",)]
