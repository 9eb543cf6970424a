"""Tasks, declared without torch: their options, the conditions under which they evaluate, and their metrics.

Another package adds a task by an entry point of the group `harness.tasks` that names a `TaskDeclaration`; its code
(`module:Class`) answers what `harness.tasks.base.Task` asks. An entry point may also name a plain function: then the
task is `function` under a name of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from harness.attempt.data import DatasetDeclaration
from harness.attempt.metrics import Metric
from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean
from harness.plugins.plugin import code_of, load_plugin
from harness.plugins.registry import Kinds, PluginKind
from harness.trial.trial import FUNCTION


class Options(BaseModel):
    """The options of a task, part of a trial's key unless they are at their default. This one has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def canonical(self) -> dict[str, Any]:
        """Return what of them is part of a trial's key."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Condition(BaseModel):
    """The options of a condition, each a single value: a list in a study stands for an evaluation with each.

    Options at their default are left out of the key, so that a new one orphans no result.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: ClassVar[str]

    def canonical(self) -> dict[str, Any]:
        """Return what of it is part of an evaluation's key."""
        return {"kind": self.kind, **self.model_dump(mode="json", exclude_defaults=True)}


class Clean(Condition):
    """The images as they are."""

    kind: ClassVar[str] = "clean"


def _clean(_: Options) -> Condition:
    return Clean()


@dataclass(frozen=True)
class TaskDeclaration:
    """A task by name.

    `conditions` are those of its evaluations, by kind; their options stand beside `dataset` and `split`, so none has
    these names, nor `condition`. `usual` is the condition that is meant if a study names none.
    """

    name: str
    code: str
    """`module:Class` (see `harness.tasks.base.Task`)."""
    metrics: tuple[Metric, ...]
    """The foremost first."""
    options: type[Options] = Options
    conditions: Mapping[str, type[Condition]] = field(default_factory=lambda: {Clean.kind: Clean})
    usual: Callable[[Options], Condition] = _clean
    own_data: Callable[[Options], DatasetDeclaration] | None = None
    """The data that the task brings itself, with their fingerprints; None if a study names a dataset."""

    def __post_init__(self) -> None:
        """Raise ValueError for a task without metrics: nothing could be reported of it."""
        if not self.metrics:
            raise ValueError(f"the task '{self.name}' declares no metrics")


CLASSIFICATION = TaskDeclaration(
    name="classification",
    code="harness.tasks.classification:Classification",
    metrics=(Metric("accuracy", "fraction", "higher", by_item="correct"), Metric("loss", "", "lower")),
)

TASKS = Kinds(
    "task", {task.name: task for task in (CLASSIFICATION,)}, group="harness.tasks", direct=False, also=(FUNCTION,)
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
    if name == FUNCTION:
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
