"""Protocols: training recipes, fully resolved, each field with its source.

A protocol is a file in `protocols/`. The paper states some of its settings; if it is silent the file says what was
inferred (and why) or assumed. A study may set single fields: `protocol: {kind: mnist-paper, epochs: 2}`.

Required fields are always part of a trial's key. A field that is added later gets a default that means "as before" and
is left out of the key at that default, so that it orphans no result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.base.checks import FieldError, validate
from harness.base.source import read_source
from harness.plugins.registry import Kinds

PROTOCOLS = Kinds(
    "protocol",
    {path.stem: path for path in sorted(Path(__file__).with_name("protocols").glob("*.yml"))},
    form="NAME or {kind: NAME, field: value}",
)
"""The protocols that come with the harness: the file of each by its name."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]
PartOf = Annotated[Number, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sgd(_Part):
    """Stochastic gradient descent, as torch.optim.SGD."""

    kind: Literal["sgd"]
    learning_rate: Positive
    momentum: Fraction = 0.0
    nesterov: Annotated[bool, Field(strict=True)] = False
    weight_decay: NonNegative = 0.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("used with a momentum above 0 where nesterov is true")
        return self


class Adam(_Part):
    """Adam, as torch.optim.Adam."""

    kind: Literal["adam"]
    learning_rate: Positive
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.0


class RmsProp(_Part):
    """RMSProp in one of two forms, which differ at large `epsilon` and at the start (`harness.training.rmsprop`).

    `rmsprop_tf`: TensorFlow 1's. ε inside the root, the average of squares starts at one, the rate inside the momentum.
    `rmsprop`: torch.optim.RMSprop's. ε outside the root, the average starts at zero, the rate outside the momentum.
    """

    kind: Literal["rmsprop_tf", "rmsprop"]
    learning_rate: Positive
    decay: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.0


class Constant(_Part):
    """One learning rate throughout."""

    kind: Literal["constant"]


class Steps(_Part):
    """The optimiser's learning rate, and from each epoch in `at` on (counted from 0) the one in `to`."""

    kind: Literal["steps"]
    at: Annotated[tuple[Count, ...], Field(min_length=1)]
    to: tuple[Positive, ...]

    @model_validator(mode="after")
    def _one_rate_an_epoch(self) -> Self:
        if len(self.at) != len(self.to) or sorted(set(self.at)) != list(self.at):
            raise ValueError("rising epochs in 'at' and as many learning rates in 'to'")
        return self


class Exponential(_Part):
    """The optimiser's learning rate times `factor` after each `every` epochs."""

    kind: Literal["exponential"]
    factor: Annotated[Number, Field(gt=0, lt=1)]
    every: Count = 1


class OneCycle(_Part):
    """One cycle over all steps: linear from `start` up to the optimiser's learning rate, then linear to `end`.

    `warm_up` is the part of all steps that rises; `start` and `end` are parts of the optimiser's learning rate.
    """

    kind: Literal["one_cycle"]
    warm_up: Fraction
    start: Fraction
    end: Fraction


class Cosine(_Part):
    """From the optimiser's learning rate down to `end` of it (a part, 0 to 1), along half a cosine over all steps."""

    kind: Literal["cosine"]
    end: Fraction = 0.0


class FlipCrop(_Part):
    """Each image flipped left to right or not, and a crop of its size out of it with `padding` black pixels around."""

    kind: Literal["flip_crop"]
    padding: Annotated[int, Field(ge=0, strict=True)]


class Patches(_Part):
    """Squares of `size` pixels from each image, each flipped and turned at random; `per_image` of them an epoch."""

    kind: Literal["patches"]
    size: Count
    per_image: Count


class ResizedCrop(_Part):
    """A part of each image, drawn again each epoch, resized to the size of the data, and flipped left to right or not.

    `area`: which part of the image's area it has, from and to; `ratio`: its width by its height, from and to.
    """

    kind: Literal["resized_crop"]
    area: tuple[PartOf, PartOf] = (0.08, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for name, (low, high) in (("area", self.area), ("ratio", self.ratio)):
            if low > high:
                raise ValueError(f"from a lower number to a higher one in '{name}'")
        return self


class BatchNorm(_Part):
    """Moving averages of batch normalisation: `decay` is how much of the old one stays (torch's 1 - momentum)."""

    decay: Fraction
    epsilon: Positive


class Normalization(_Part):
    """A channel's (value/255 − mean) / deviation."""

    mean: tuple[Number, ...]
    deviation: tuple[Positive, ...]


class Protocol(_Part):
    """A training recipe. `train_on` says whether the validation split is kept out of training, to choose by it."""

    epochs: Count
    batch_size: Count
    last_batch: Literal["keep", "drop"]
    optimizer: Annotated[Sgd | Adam | RmsProp, Field(discriminator="kind")]
    schedule: Annotated[Constant | Steps | Exponential | OneCycle | Cosine, Field(discriminator="kind")]
    initialization: Literal["xavier_uniform", "he_normal", "own"]
    augmentation: Literal["none"] | Annotated[FlipCrop | Patches | ResizedCrop, Field(discriminator="kind")]
    # data: that of what is trained on; none: the images as the task has them
    normalization: Normalization | Literal["data", "none"]
    precision: Literal["fp32", "tf32", "bf16"]
    train_on: Literal["all", "without_validation"]
    batch_norm: BatchNorm | None = None  # None: as the model has it
    label_smoothing: Fraction = 0.0  # of classification: the part of a label that is shared out among all classes

    @field_validator("augmentation", mode="before")
    @classmethod
    def _is_known(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "none":
            forms = "{kind: flip_crop, padding: N}, {kind: resized_crop} or {kind: patches, size: N, per_image: N}"
            raise ValueError(f"none, {forms}")
        return value

    @field_validator("normalization", mode="before")
    @classmethod
    def _is_data_or_numbers(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in {"data", "none"}:
            raise ValueError("none, data (that of the dataset) or {mean: […], deviation: […]}")
        return value


@dataclass(frozen=True)
class FieldSource:
    """Where a field's value is from: stated (and where), inferred (and why), assumed; or set by a study."""

    value: Any
    source: Literal["stated", "inferred", "assumed", "set"]
    where: str


@dataclass(frozen=True)
class ResolvedProtocol:
    """A protocol by name with a study's changes, and the source of every field."""

    name: str
    description: str
    settings: Protocol
    fields: Mapping[str, FieldSource]

    def canonical(self) -> dict[str, Any]:
        """Return what of it is part of a key."""
        canonical: dict[str, Any] = self.settings.model_dump(mode="json", exclude_defaults=True)
        return canonical


class _FieldInFile(_Part):
    value: Any
    source: Literal["stated", "inferred", "assumed"]
    where: str


class _ProtocolFile(_Part):
    protocol: str
    description: str
    fields: dict[str, _FieldInFile]


def resolve_protocol(options: Any) -> ResolvedProtocol:
    """Resolve `NAME` or `{kind: NAME, field: value, …}`.

    Raises FieldError, by path, for an unknown name or a wrong value.

    A change of a field that is a mapping replaces it where it names its `kind`, and else changes single keys of it.
    """
    kind, changes = PROTOCOLS.split(options)
    PROTOCOLS.resolve(kind)
    file = _read(kind)
    values = {field: entry.value for field, entry in file.fields.items()}
    for field, change in changes.items():
        values[field] = _merged(values.get(field), change)
    settings = validate(Protocol, values)
    changed = {name: FieldSource(values[name], "set", "by the study") for name in changes}
    return ResolvedProtocol(file.protocol, file.description, settings, {**_sources(kind), **changed})


def _merged(old: Any, change: Any) -> Any:
    """Return `old` with the keys of `change` put in; a change that names its `kind` stands for itself."""
    if not isinstance(old, dict) or not isinstance(change, dict) or "kind" in change:
        return change
    return {**old, **{key: _merged(old.get(key), value) for key, value in change.items()}}


@cache
def _sources(name: str) -> Mapping[str, FieldSource]:
    """Return the fields of a protocol's file, which all trials share that leave them as they are."""
    return {field: FieldSource(entry.value, entry.source, entry.where) for field, entry in _read(name).fields.items()}


@cache
def _read(name: str) -> _ProtocolFile:
    source = read_source(PROTOCOLS[name])
    try:
        return validate(_ProtocolFile, source.data)
    except FieldError as error:
        raise source.error(error.path, error.message) from None
