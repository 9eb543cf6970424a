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


class OneCycle(_Part):
    """One cycle over all steps: linear from `start` up to the optimiser's learning rate, then linear to `end`.

    `warm_up` is the part of all steps that rises; `start` and `end` are parts of the optimiser's learning rate.
    """

    kind: Literal["one_cycle"]
    warm_up: Fraction
    start: Fraction
    end: Fraction


class FlipCrop(_Part):
    """Each image flipped left to right or not, and a crop of its size out of it with `padding` black pixels around."""

    kind: Literal["flip_crop"]
    padding: Annotated[int, Field(ge=0, strict=True)]


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
    optimizer: Annotated[Sgd | Adam, Field(discriminator="kind")]
    schedule: Annotated[Constant | Steps | OneCycle, Field(discriminator="kind")]
    initialization: Literal["xavier_uniform", "own"]
    augmentation: Literal["none"] | FlipCrop
    normalization: Normalization | Literal["data"]  # data: that of what is trained on
    precision: Literal["fp32", "tf32", "bf16"]
    train_on: Literal["all", "without_validation"]
    batch_norm: BatchNorm | None = None  # None: as the model has it

    @field_validator("augmentation", mode="before")
    @classmethod
    def _is_known(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "none":
            raise ValueError("none or {kind: flip_crop, padding: N}")
        return value

    @field_validator("normalization", mode="before")
    @classmethod
    def _is_data_or_numbers(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "data":
            raise ValueError("data (that of the dataset) or {mean: […], deviation: […]}")
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
    fields = {name: FieldSource(entry.value, entry.source, entry.where) for name, entry in file.fields.items()}
    fields |= {name: FieldSource(values[name], "set", "by the study") for name in changes}
    return ResolvedProtocol(file.protocol, file.description, settings, fields)


def _merged(old: Any, change: Any) -> Any:
    """Return `old` with the keys of `change` put in; a change that names its `kind` stands for itself."""
    if not isinstance(old, dict) or not isinstance(change, dict) or "kind" in change:
        return change
    return {**old, **{key: _merged(old.get(key), value) for key, value in change.items()}}


@cache
def _read(name: str) -> _ProtocolFile:
    source = read_source(PROTOCOLS[name])
    try:
        return validate(_ProtocolFile, source.data)
    except FieldError as error:
        raise source.error(error.path, error.message) from None
