"""The forms of search files, which say what each key takes: of placements, and of a function's arguments."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.base.keys import LONGEST_STUDY_NAME, STUDY_NAME
from harness.study.study_file import ExecutionOptions, Part, Seed

SamplerName = Literal["tpe", "nsga2", "brute"]
COSTS = ("parameters", "macs")
"""What of a network may be searched for behind its task's primary metric."""


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("a list in which nothing occurs twice")
    return values


Name = Annotated[str, Field(pattern=STUDY_NAME, max_length=LONGEST_STUDY_NAME)]
Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]
Stride = Annotated[int, Field(ge=2, strict=True)]
Number = Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True, allow_inf_nan=False)]
Word = bool | int | float | str | None


class SearchFile(BaseModel):
    """What every search says."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    search: Name
    description: str = ""
    task: Part | None = None
    seeds: Seeds
    inputs: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    sampler: SamplerName = "tpe"
    sampler_seed: Seed = 0
    pruner: Literal["median"] | None = None
    study: Name | None = None
    study_seeds: Seeds = [0, 1, 2]
    execution: ExecutionOptions = ExecutionOptions()


class PlacementFile(SearchFile):
    """A search of where compressors go."""

    dataset: Part | None = None
    model: Part | None = None
    protocol: Part | None = None
    sites: Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)] | None = None
    compressor: Part
    strides: Annotated[list[Stride], Field(min_length=1), AfterValidator(_distinct)]
    objectives: list[str] | None = None
    """The task's primary metric, alone or before a cost: by default before `parameters`."""


class RangeForm(BaseModel):
    """Numbers from `low` to `high`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    low: Number
    high: Number
    step: Number | None = None
    log: Annotated[bool, Field(strict=True)] = False


class ArgumentFile(SearchFile):
    """A search of a function's arguments. `space` has their dotted paths: a list of values, or a range."""

    target: str | None = None
    arguments: dict[str, Any] | None = None
    metrics: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    space: Annotated[dict[str, Any], Field(min_length=1)]
    objectives: Annotated[list[str], Field(min_length=1, max_length=2), AfterValidator(_distinct)] | None = None
