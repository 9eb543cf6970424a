"""The form of a study file: which keys it has at the top and in its entries, and what kind of thing each takes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.base.keys import LONGEST_STUDY_NAME, STUDY_NAME

Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Part = str | dict[str, Any]
Values = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]  # by dotted path
Conditions = Annotated[list[Annotated[dict[str, Any], Field(min_length=1)]], Field(min_length=1)]  # by dotted path


class Defaults(BaseModel):
    """What an entry may say, and what may stand at the top for all entries that do not."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: Part | None = None
    dataset: Part | None = None
    model: Part | None = None
    protocol: Part | None = None
    at: str | list[str] | None = None
    compressor: Part | None = None
    compressors: dict[str, Part] | None = None
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    evaluate: Annotated[list[Any], Field(min_length=1)] | None = None
    target: str | None = None  # these three in place of dataset, model and protocol, for a person's own function
    arguments: dict[str, Any] | None = None
    metrics: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    inputs: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None


class Entry(Defaults):
    """An entry of `trials`."""

    name: Annotated[str, Field(min_length=1)]
    grid: Values | None = None
    zip: Values | None = None
    exclude: Conditions | None = None


class ExecutionOptions(BaseModel):
    """The study's wishes for how it is carried out; never in a key, and the command line overrides them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    checkpoint_every_s: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)] = 30.0
    threads: Annotated[int, Field(ge=1, strict=True)] | None = None
    deterministic: Annotated[bool, Field(strict=True)] = True
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    kernels: Literal["auto", "torch"] = "auto"  # auto: fast kernels where they fit; torch: plain torch
    order: Literal["auto", "as_written"] = "auto"  # auto: channels first where that commutes
    compile: Annotated[bool, Field(strict=True)] = False
    capture: Literal["auto", "off"] = "auto"  # auto: the training step as one CUDA graph, where there is a GPU


class IncludedFile(Defaults):
    """A file that a study includes: a study, or a part of one."""

    study: Annotated[str, Field(pattern=STUDY_NAME, max_length=LONGEST_STUDY_NAME)] | None = None
    description: str = ""
    include: Any = None  # a path or a list of paths
    execution: ExecutionOptions = ExecutionOptions()
    trials: Annotated[list[Entry], Field(min_length=1)] = []


class StudyFile(IncludedFile):
    """A study."""

    study: Annotated[str, Field(pattern=STUDY_NAME, max_length=LONGEST_STUDY_NAME)]
