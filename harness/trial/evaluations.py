"""What a trial's runs are tested on: splits of datasets, each under a condition of the task.

    evaluate: [digits, {dataset: mnist, split: train}]

The options of a condition are written beside these; `condition: KIND` names one if a task has several. What is left out
is as in the task's usual condition.

Evaluations are never in a trial's key; each has its own.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.attempt.messages import EvaluationSpec
from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean
from harness.base.keys import evaluation_key
from harness.base.source import YamlPath
from harness.trial.tasks import Condition, ResolvedTask

_PLACE = ("dataset", "split", "condition")


def resolve_evaluations(
    wanted: Sequence[Any] | None,
    *,
    task: ResolvedTask,
    dataset: DatasetDeclaration,
    chooses: bool,
    find: Callable[[Any], DatasetDeclaration],
) -> tuple[tuple[EvaluationSpec, ...], tuple[DatasetDeclaration, ...]]:
    """Resolve what a study wants evaluated, each item a dataset's name or `{dataset: NAME, split: SPLIT, option: …}`.

    `dataset` is what the trial is trained on, and what is meant where none is named. `chooses` says whether the trial
    keeps the validation split out of training in order to choose by it: then that is the split that is meant where none
    is named, and test data are refused. Without `wanted`: that split of that dataset. `find` returns the dataset of a
    name, and raises FieldError for one that is not there or that the model cannot take. Returned with the evaluations:
    the datasets other than `dataset`. Raises FieldError with the path within `wanted` of what is wrong.
    """
    found: dict[str, EvaluationSpec] = {}
    others: dict[str, DatasetDeclaration] = {}
    for number, item in enumerate([{}] if wanted is None else wanted):
        options = _options(item, number, task)
        declared = dataset
        if "dataset" in options:
            place = (number,) if isinstance(item, str) else (number, "dataset")
            declared = _dataset(options["dataset"], place, find)
            if declared != dataset:
                _check_name(declared, [dataset, *others.values()], place)
                others[declared.name] = declared
        split = _split(declared, options, number, chooses)
        for condition in _conditions(options, number, task):
            evaluation = evaluation_of(split, condition)
            if evaluation.key in found:
                raise FieldError((number,), f"this evaluation stands twice: {_in_words(evaluation)}")
            found[evaluation.key] = evaluation
    return tuple(found.values()), tuple(others.values())


def _options(item: Any, number: int, task: ResolvedTask) -> dict[str, Any]:
    """Return an item as a mapping of known keys."""
    if isinstance(item, str):
        return {"dataset": item}
    if not isinstance(item, Mapping):
        raise FieldError((number,), f"an evaluation is written NAME or {{dataset: NAME, split: SPLIT}}, not {item!r}")
    several = len(task.declaration.conditions) > 1
    places = _PLACE if several else _PLACE[:2]
    known = [*places, *_condition(item, number, task).model_fields]
    for key in item:
        if key not in known:
            raise FieldError((number, key), f"unknown key '{key}'{did_you_mean(key, known)}")
    return dict(item)


def _condition(item: Mapping[str, Any], number: int, task: ResolvedTask) -> type[Condition]:
    """Return the kind of condition that an item names, or the task's usual one."""
    declaration = task.declaration
    kind = item.get("condition", declaration.usual(task.options).kind)
    if not isinstance(kind, str) or kind not in declaration.conditions:
        near = did_you_mean(str(kind), declaration.conditions)
        raise FieldError((number, "condition"), f"unknown condition '{kind}' of task '{declaration.name}'{near}")
    return declaration.conditions[kind]


def _dataset(said: Any, place: YamlPath, find: Callable[[Any], DatasetDeclaration]) -> DatasetDeclaration:
    """Return the dataset that stands at `place`."""
    if not isinstance(said, str | Mapping):
        raise FieldError(place, f"'dataset' must be a name, or own data as {{kind: folder, path: …}}, not {said!r}")
    try:
        return find(said)
    except FieldError as error:
        inside = error.path if isinstance(said, Mapping) else ()
        raise FieldError((*place, *inside), error.message) from None


def _check_name(declared: DatasetDeclaration, known: Sequence[DatasetDeclaration], place: YamlPath) -> None:
    """Refuse other data under a name that is taken: results are told apart by it."""
    if any(one.name == declared.name and one != declared for one in known):
        raise FieldError(place, f"two datasets are named '{declared.name}': give one another name, e.g. name: other")


def _split(dataset: DatasetDeclaration, options: Mapping[str, Any], number: int, chooses: bool) -> DatasetSplit:
    """Return the split of a dataset that is meant."""
    split = options.get("split", "validation" if chooses else "test")
    if not isinstance(split, str):
        raise FieldError((number, "split"), f"'split' must be a name, not {split!r}")
    if split not in dataset.splits:
        near = did_you_mean(split, dataset.splits)
        raise FieldError((number, "split"), f"unknown split '{split}' of '{dataset.name}'{near}")
    if chooses and split == "test":
        raise FieldError(
            (number, "split"),
            "a trial that keeps validation data out of training, to choose by them, never meets test data: write "
            "'split: validation', or 'train_on: all' in the protocol",
        )
    return dataset.splits[split]


def _conditions(options: Mapping[str, Any], number: int, task: ResolvedTask) -> Iterator[dict[str, Any]]:
    """Yield the conditions of an item, canonically: the product of its lists, the last key fastest."""
    kind, usual = _condition(options, number, task), task.declaration.usual(task.options)
    left_out = usual.model_dump(exclude_defaults=True) if isinstance(usual, kind) else {}
    choices: list[list[tuple[YamlPath, Any]]] = []
    for key, value in options.items():
        if key in _PLACE:
            continue
        if value == []:
            raise FieldError((number, key), f"'{key}' must not be empty")
        choices.append([((key, i), v) for i, v in enumerate(value)] if isinstance(value, list) else [((key,), value)])
    for chosen in itertools.product(*choices):
        places = {path[0]: path for path, _ in chosen}
        try:
            condition = validate(kind, {**left_out, **{path[0]: value for path, value in chosen}})
        except FieldError as error:
            inside = places.get(error.path[0], error.path[:1]) if error.path else ()
            raise FieldError((number, *inside, *error.path[1:]), error.message) from None
        yield condition.canonical()


def evaluation_of(split: DatasetSplit, condition: Mapping[str, Any]) -> EvaluationSpec:
    """Return the evaluation of a split under a condition, canonically written."""
    return EvaluationSpec(
        key=evaluation_key(split.fingerprint, condition),
        dataset=split.name,
        split=split.split,
        fingerprint=split.fingerprint,
        images=split.images,
        bytes=split.bytes,
        condition=condition,
    )


def _in_words(evaluation: EvaluationSpec) -> str:
    words = [f"{evaluation.dataset}, {evaluation.split}", *(f"{k} {v}" for k, v in evaluation.condition.items())]
    return ", ".join(words[:1] + words[2:])  # the kind of the condition is the same for all of a task
