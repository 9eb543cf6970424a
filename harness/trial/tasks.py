"""Tasks, declared without torch: their options, the conditions under which they evaluate, and their metrics.

Another package adds a task by an entry point of the group `harness.tasks` that names a `TaskDeclaration`; its code
(`module:Class`) answers what `harness.tasks.base.Task` asks. An entry point may also name a plain function: then the
task is `function` under a name of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.attempt.data import DatasetDeclaration
from harness.attempt.metrics import Metric
from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean
from harness.plugins.plugin import code_of, load_plugin
from harness.plugins.registry import Kinds, PluginKind
from harness.trial.conditions import ATTACKS, Clean, Condition, Unattacked
from harness.trial.trial import COMMAND, FUNCTION

__all__ = [
    "CLASSIFICATION",
    "DENOISING",
    "MANY_CLASSES",
    "TASKS",
    "Clean",
    "Condition",
    "DenoisingOptions",
    "Gaussian",
    "Level",
    "Levels",
    "Options",
    "ResolvedTask",
    "TaskDeclaration",
    "find_task",
    "resolve_task",
]

MANY_CLASSES = 10
"""Of more classes than these it is also asked whether the right one is among the first five: of ten it mostly is."""


class Options(BaseModel):
    """The options of a task, part of a trial's key unless they are at their default. This one has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def canonical(self) -> dict[str, Any]:
        """Return what of them is part of a trial's key."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _clean(_: Options) -> Condition:
    return Clean()


@dataclass(frozen=True)
class TaskDeclaration:
    """A task by name.

    `conditions` are those of its evaluations, by kind; their options are beside `dataset` and `split`, so none has
    these names, nor that of `condition_word`. `usual` is the condition that is meant if a study names none; None if it
    must.
    """

    name: str
    code: str
    """`module:Class` (see `harness.tasks.base.Task`)."""
    metrics: tuple[Metric, ...]
    """The primary first."""
    of_many_classes: tuple[Metric, ...] = ()
    """Further metrics, of data with more than `MANY_CLASSES` classes."""
    of_known_classes: tuple[Metric, ...] = ()
    """Further metrics, of a pretrained network that knows more classes than the data have."""
    options: type[Options] = Options
    conditions: Mapping[str, type[Condition]] = field(default_factory=lambda: {Clean.kind: Clean})
    usual: Callable[[Options], Condition | None] = _clean
    condition_word: str = "condition"
    """The key by which a study names a condition; `none` is the usual one."""
    untrained: bool = False
    """Whether it also evaluates models that are never trained, part by part (`harness.tasks.parts`)."""
    of_training: tuple[str, ...] = ()
    """Options that say how to train: refused if nothing is trained; one that is None is missing if something is."""
    data: Literal["labelled", "pictures"] = "labelled"
    """What it needs: images with their classes, and a network that gives classes; or images alone, and one that gives
    images."""
    measured: str = ""
    """How its metrics are measured, for the note under a table: all that makes figures comparable."""
    own_data: Callable[[Options], DatasetDeclaration] | None = None
    """The data that the task brings itself, with their fingerprints; None if a study names a dataset."""

    def __post_init__(self) -> None:
        """Raise ValueError for a task without metrics: nothing could be reported of it."""
        if not self.metrics:
            raise ValueError(f"the task '{self.name}' declares no metrics")

    def metrics_of(self, data: DatasetDeclaration) -> tuple[Metric, ...]:
        """Return the metrics of its evaluations for a trial on some data, the primary first."""
        return (*self.metrics, *(self.of_many_classes if data.classes > MANY_CLASSES else ()))


CLASSIFICATION = TaskDeclaration(
    name="classification",
    code="harness.tasks.classification:Classification",
    metrics=(Metric("accuracy", "fraction", "higher", by_item="correct"), Metric("loss", "", "lower")),
    of_many_classes=(Metric("top5_accuracy", "fraction", "higher", by_item="correct_top5"),),
    of_known_classes=(Metric("accuracy_own_classes", "fraction", "higher", by_item="correct_own_classes"),),
    conditions=ATTACKS,
    usual=lambda _: Unattacked(),
    condition_word="attack",
    untrained=True,
)

Level = Annotated[float, Field(gt=0, le=255, strict=True, allow_inf_nan=False)]
"""A standard deviation of noise on the scale 0…255 of pixels."""


class Levels(BaseModel):
    """A range of noise levels: a network that is trained on all of them is called blind."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)
    from_: Annotated[float, Field(ge=0, le=255, strict=True, allow_inf_nan=False, alias="from")]
    to: Level

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.from_ >= self.to:
            raise ValueError("from a lower level to a higher one")
        return self


class DenoisingOptions(Options):
    """White Gaussian noise to train on, if anything is: of one level, or of any in a range; clipped to 0…255 or not."""

    sigma: Level | Levels | None = None  # None: nothing is trained
    clip: Annotated[bool, Field(strict=True)] = False


class Gaussian(Condition):
    """White Gaussian noise of `sigma`, the same for every method: drawn from `noise_seed` and the image's content.

    `clip` and `round` make of the noisy image what an 8-bit file can hold.
    """

    kind: ClassVar[str] = "gaussian"
    sigma: Annotated[float, Field(ge=0, le=255, strict=True, allow_inf_nan=False)]
    clip: Annotated[bool, Field(strict=True)] = False
    round: Annotated[bool, Field(strict=True)] = False
    noise_seed: Annotated[int, Field(ge=0, strict=True)] = 0


_USUAL_SIGMA = 25.0  # of blind networks


def _as_trained(options: Options) -> Condition | None:
    """Return the noise that a network is trained on; of a blind one 25, or what of its range is nearest to that.

    None if nothing is trained.
    """
    if not isinstance(options, DenoisingOptions):
        raise TypeError(f"denoising takes DenoisingOptions, not {type(options).__name__}")
    sigma = options.sigma
    if sigma is None:
        return None
    level = min(max(_USUAL_SIGMA, sigma.from_), sigma.to) if isinstance(sigma, Levels) else sigma
    return Gaussian(sigma=level, clip=options.clip)


DENOISING = TaskDeclaration(
    name="denoising",
    code="harness.tasks.denoising:Denoising",
    metrics=(Metric("psnr_db", "dB", "higher", by_item="psnr_db"), Metric("ssim", "", "higher", by_item="ssim")),
    options=DenoisingOptions,
    conditions={Gaussian.kind: Gaussian},
    usual=_as_trained,
    untrained=True,
    of_training=("sigma", "clip"),
    data="pictures",
    measured=(
        "Noise is added to all channels on the scale 0…255, from the noise seed and the image's content, the same for"
        " every method. The estimate is clipped to 0…255 and rounded. PSNR is over all pixels and channels of an image,"
        " without cutting a border; SSIM over all windows of 11×11 inside it; then the mean over images. Test splits"
        " with images that are among the training images, as a whole or in part, are refused."
    ),
)

TASKS = Kinds(
    "task",
    {task.name: task for task in (CLASSIFICATION, DENOISING)},
    group="harness.tasks",
    direct=False,
    also=(FUNCTION, COMMAND),
)


@dataclass(frozen=True)
class ResolvedTask:
    """A task of a trial: its declaration, its options, and what of both is part of the trial's key."""

    declaration: TaskDeclaration
    options: Options
    config: Mapping[str, Any]


def find_task(name: object, folders: Sequence[str] = ()) -> tuple[TaskDeclaration, str | None] | None:
    """Return a task's declaration with the digest of its code, None for ours; None if `name` is a function's task.

    Raises FieldError at `kind` for an unknown name, or a plug-in that cannot be loaded.
    """
    if name in {FUNCTION, COMMAND}:
        return None
    found = TASKS.resolve(name)
    if not isinstance(found, PluginKind):
        return found, None
    declared, digest = load_plugin(found.reference, folders)
    if not isinstance(declared, TaskDeclaration):
        return None
    code = code_of(declared.code, folders)[0]
    return declared, digest if code == digest else f"{digest}+{code}"


def resolve_task(kind: str, given: Mapping[str, Any], found: tuple[TaskDeclaration, str | None]) -> ResolvedTask:
    """Resolve the options of a task that a study calls `kind`.

    Raises FieldError for one that the task does not have.
    """
    declaration, digest = found
    for name in given:
        if name not in declaration.options.model_fields:
            known = list(declaration.options.model_fields)
            why = did_you_mean(name, known) if known else f": the task '{declaration.name}' has no options"
            raise FieldError((name,), f"unknown key '{name}'{why}")
    options = validate(declaration.options, dict(given))
    code = {} if digest is None else {"code": digest}
    return ResolvedTask(declaration, options, {"kind": kind, **code, **options.canonical()})
