"""The form of a study file: which keys it has at the top and in its entries, and what kind of thing each takes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from harness.base.keys import LONGEST_STUDY_NAME, STUDY_NAME
from harness.stats.sequential import MOST_SEEDS

Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Part = str | dict[str, Any]
Values = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)]  # by dotted path
Condition = Annotated[dict[str, Any], Field(min_length=1)]  # by dotted path
Conditions = Annotated[list[Condition], Field(min_length=1)]


SeedList = Annotated[list[Seed], Field(min_length=1)]


class UntilDecided(BaseModel):
    """In place of a list of seeds: as many as the claims of the study take to be decided (`stats.sequential`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    until: Literal["decided"]
    at_most: Annotated[int, Field(ge=2, le=MOST_SEEDS, strict=True)]
    looks: Annotated[list[Annotated[int, Field(ge=1, strict=True)]], Field(min_length=1)]  # after how many seeds
    first: Seed = 0

    @property
    def seeds(self) -> list[int]:
        """All seeds that there may be, in their order."""
        return list(range(self.first, self.first + self.at_most))


Seeds = Annotated[
    Annotated[SeedList, Tag("a list")] | Annotated[UntilDecided, Tag("a mapping")],
    Discriminator(lambda written: "a mapping" if isinstance(written, dict) else "a list"),
]


class Defaults(BaseModel):
    """What an entry may say, and what may be at the top for all entries that do not."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: Part | None = None
    dataset: Part | None = None
    model: Part | None = None
    protocol: Part | None = None
    at: str | list[str] | None = None
    compressor: Part | None = None
    compressors: dict[str, Part] | None = None
    seeds: Seeds | None = None
    evaluate: Annotated[list[Any], Field(min_length=1)] | None = None
    target: str | None = None  # these four in place of dataset, model and protocol, for a person's own function
    command: str | None = None
    arguments: dict[str, Any] | None = None
    metrics: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    inputs: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None


class ExecutorChoice(BaseModel):
    """Who carries out attempts of a study, or of a trial; its options are checked by whoever knows the kind."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: Annotated[str, Field(min_length=1)]

    @property
    def options(self) -> dict[str, Any]:
        """The options, without the kind."""
        return dict(self.model_extra or {})


def _named(written: Any) -> Any:
    """Take a name for an executor without options."""
    return {"kind": written} if isinstance(written, str) else written


WrittenExecutor = Annotated[ExecutorChoice, BeforeValidator(_named)]
"""NAME or {kind: NAME, option: value}."""


def executor_choice(written: Any) -> ExecutorChoice | None:
    """Return the executor that an entry names, checked as `Entry` checks it; None if it names none."""
    return None if written is None else ExecutorChoice.model_validate(_named(written))


class Entry(Defaults):
    """An entry of `trials`."""

    name: Annotated[str, Field(min_length=1)]
    seeds: SeedList | None = None
    grid: Values | None = None
    zip: Values | None = None
    exclude: Conditions | None = None
    executor: WrittenExecutor | None = None  # of these trials; None: the study's


Side = Annotated[str, Field(min_length=1)] | Annotated[list[str], Field(min_length=1)] | Condition


class ClaimEntry(BaseModel):
    """A claim on two trials, or on two groups of them (`study.claims`): a is better than b by `by`, and so on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    a: Side
    b: Side
    metric: Annotated[str, Field(min_length=1)]
    on: Condition | None = None  # of several evaluations the one that is meant
    says: Literal["better", "not_worse", "equal", "worse"]
    by: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]  # the smallest difference that matters
    family: Annotated[str, Field(max_length=100)] = ""  # over which Holm's correction is; all claims, where left out
    seeds: SeedList | None = None  # all that its trials share, where left out
    why: str = ""
    title: Annotated[str, Field(max_length=300)] = ""  # in place of the sentence that is made of it


class AblateEntry(BaseModel):
    """Parts that can be switched off, and the design that says in which trials (`study.ablate`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(min_length=1)] | None = None  # of the trial that the others are held against
    base: dict[str, Any] = {}  # by dotted path: what the whole has beside the study's defaults
    switches: Annotated[dict[str, Any], Field(min_length=1)]
    design: Literal["leave-one-out", "add-one-in", "one-at-a-time", "factorial", "fractional"] = "leave-one-out"
    metric: Annotated[str, Field(min_length=1)]
    by: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
    on: Condition | None = None


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
    capture: Literal["auto", "off"] = "auto"  # auto: the training step as one CUDA graph, if there is a GPU
    processes: Annotated[int, Field(ge=1, strict=True)] = 1  # that train one network together
    executor: WrittenExecutor | None = None  # None: of this machine


class IncludedFile(Defaults):
    """A file that a study includes: a study, or a part of one."""

    study: Annotated[str, Field(pattern=STUDY_NAME, max_length=LONGEST_STUDY_NAME)] | None = None
    description: str = ""
    include: Any = None  # a path or a list of paths
    execution: ExecutionOptions = ExecutionOptions()
    trials: Annotated[list[Entry], Field(min_length=1)] = []
    claims: Annotated[list[ClaimEntry], Field(min_length=1)] = []  # these two count in the study itself alone
    baseline: Annotated[str, Field(min_length=1)] | None = None
    ablate: AblateEntry | None = None


class StudyFile(IncludedFile):
    """A study."""

    study: Annotated[str, Field(pattern=STUDY_NAME, max_length=LONGEST_STUDY_NAME)]
