"""What a trial's runs are tested on: splits of datasets, each under a condition of the task.

    evaluate: [digits, {dataset: mnist, split: train}]

The options of a condition are written beside these; `condition: KIND` names one if a task has several (classification
calls it `attack`), or a list of several. What is left out is as in the task's usual condition. Lists multiply.

Evaluations are never in a trial's key; each has its own.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.attempt.data import DatasetDeclaration, DatasetSplit
from harness.attempt.messages import EvaluationSpec, option_in_words
from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean
from harness.base.keys import evaluation_key
from harness.base.source import YamlPath
from harness.trial.own_data import first_of
from harness.trial.tasks import Condition, ResolvedTask

_PLACE = ("dataset", "split")
_OF_LABELLED = {"labelled": ("take",), "pictures": ()}  # photographs have an option of their own
_NONE = "none"


class Evaluations(NamedTuple):
    """What a trial is evaluated on, the datasets that this takes beside its own, and where files that it names lie."""

    specs: tuple[EvaluationSpec, ...]
    others: tuple[DatasetDeclaration, ...]
    files: Mapping[str, str]


def resolve_evaluations(
    wanted: Sequence[Any] | None,
    *,
    task: ResolvedTask,
    dataset: DatasetDeclaration,
    chooses: bool,
    find: Callable[[Any], DatasetDeclaration],
    folders: Sequence[str] = (),
) -> Evaluations:
    """Resolve what a study wants evaluated, each item a dataset's name or `{dataset: NAME, split: SPLIT, option: …}`.

    `dataset` is what the trial is trained on, and what is meant if none is named. `chooses` says whether the trial
    keeps the validation split out of training in order to choose by it: then that is the split that is meant if none
    is named, and test data are refused. Without `wanted`: that split of that dataset. `find` returns the dataset of a
    name, and raises FieldError for one that is not there or that the model cannot take; `folders` are the study's own.
    Raises FieldError with the path within `wanted` of what is wrong.
    """
    found: dict[str, EvaluationSpec] = {}
    others: dict[str, DatasetDeclaration] = {}
    files: dict[str, str] = {}
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
        if "take" in options:
            declared = _first_of(declared, split, options["take"], number)
            split, others[declared.name] = declared.splits[split.split], declared
        of_item: dict[str, tuple[EvaluationSpec, Condition]] = {}
        for condition, named in _conditions(options, number, task, folders):
            evaluation = evaluation_of(split, condition.canonical())
            files.update(named)
            _, same = of_item.setdefault(evaluation.key, (evaluation, condition))
            # Others of a product may be the same: without a denoiser there is none that an attack can know.
            if evaluation.key in found or (same is not condition and same == condition):
                raise FieldError((number,), f"this evaluation occurs twice: {_in_words(evaluation)}")
        found.update({key: evaluation for key, (evaluation, _) in of_item.items()})
    return Evaluations(tuple(found.values()), tuple(others.values()), files)


def _options(item: Any, number: int, task: ResolvedTask) -> dict[str, Any]:
    """Return an item as a mapping of known keys."""
    if isinstance(item, str):
        return {"dataset": item}
    if not isinstance(item, Mapping):
        raise FieldError((number,), f"an evaluation is written NAME or {{dataset: NAME, split: SPLIT}}, not {item!r}")
    kinds = [kind for kind, _, _ in _kinds(item, number, task)]
    own = [name for kind in kinds for name in kind.model_fields]
    word = task.declaration.condition_word
    places = [*_PLACE, *([word] if len(task.declaration.conditions) > 1 else []), *_OF_LABELLED[task.declaration.data]]
    known = list(dict.fromkeys([*places, *own]))
    for key in item:
        if key not in known:
            raise FieldError((number, key), f"unknown key '{key}'{did_you_mean(key, known)}")
    return dict(item)


Kind = tuple[type[Condition], Mapping[str, Any], YamlPath]
"""A kind of condition, the options that are written with it, and where."""


def _kinds(item: Mapping[str, Any], number: int, task: ResolvedTask) -> list[Kind]:
    """Return the kinds of condition that an item names, or the task's usual one.

    They are written NAME, {kind: NAME, option: value}, or a list of these; `none` is the usual one.
    """
    declaration, word = task.declaration, task.declaration.condition_word
    usual = declaration.usual(task.options)
    default = usual.kind if usual is not None else next(iter(declaration.conditions))
    written = item.get(word, _NONE)
    if written == []:
        raise FieldError((number, word), f"'{word}' must not be empty")
    found: list[Kind] = []
    for place, said in [((i,), v) for i, v in enumerate(written)] if isinstance(written, list) else [((), written)]:
        own = dict(said) if isinstance(said, Mapping) else {"kind": said}
        kind, path = own.pop("kind", None), (number, word, *place)
        if kind in (None, _NONE) and not own:
            kind = default
        if not isinstance(kind, str) or kind not in declaration.conditions:
            near = did_you_mean(str(kind), declaration.conditions)
            raise FieldError(path, f"unknown {word} '{kind}' of task '{declaration.name}'{near}")
        for key in own:
            if key not in declaration.conditions[kind].model_fields:
                near = did_you_mean(key, declaration.conditions[kind].model_fields)
                raise FieldError((*path, key), f"unknown key '{key}' of '{kind}'{near}")
        found.append((declaration.conditions[kind], own, path))
    return found


def _dataset(said: Any, place: YamlPath, find: Callable[[Any], DatasetDeclaration]) -> DatasetDeclaration:
    """Return the dataset that is at `place`."""
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
    if split not in dataset.splits and "split" not in options and "dataset" not in options:
        raise FieldError((), f"'{dataset.name}' has no {split} split: name what to test on, e.g. [{{dataset: NAME}}]")
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


def _conditions(
    options: Mapping[str, Any], number: int, task: ResolvedTask, folders: Sequence[str]
) -> Iterator[tuple[Condition, Mapping[str, str]]]:
    """Yield the conditions of an item, each with its files: the product of its lists, the last key fastest.

    An option beside the kinds goes with those that have it.
    """
    usual = task.declaration.usual(task.options)
    own = {*_PLACE, task.declaration.condition_word, *_OF_LABELLED[task.declaration.data]}
    beside = {key: value for key, value in options.items() if key not in own}
    for kind, written, path in _kinds(options, number, task):
        left_out = usual.model_dump(exclude_defaults=True) if isinstance(usual, kind) else {}
        choices = [
            [(key, *choice) for choice in _choices(value, (*place, key))]
            for place, given in (((number,), beside), (path, written))
            for key, value in given.items()
            if key in kind.model_fields
        ]
        for chosen in itertools.product(*choices):
            places = {key: place for key, _, place in chosen}
            values = {**left_out, **{key: value for key, value, _ in chosen}}
            try:
                located, files = kind.located(values, folders)
                condition = validate(kind, dict(located))
            except FieldError as error:
                inside = places.get(str(error.path[0]), (number, *error.path[:1])) if error.path else (number,)
                raise FieldError((*inside, *error.path[1:]), error.message) from None
            yield condition, files


def _choices(value: Any, path: YamlPath) -> list[tuple[Any, YamlPath]]:
    """Return what a value stands for, with its place: each item of a list, a mapping for each item of lists in it."""
    if value == []:
        raise FieldError(path, f"'{path[-1]}' must not be empty")
    if isinstance(value, list):
        return [choice for i, each in enumerate(value) for choice in _choices(each, (*path, i))]
    if isinstance(value, Mapping):
        inner = [[(key, choice) for choice, _ in _choices(each, (*path, key))] for key, each in value.items()]
        return [(dict(chosen), path) for chosen in itertools.product(*inner)]
    return [(value, path)]


def _first_of(whole: DatasetDeclaration, split: DatasetSplit, count: Any, number: int) -> DatasetDeclaration:
    """Return the first images of a split in canonical order as a dataset of its own, with that split alone."""
    if type(count) is not int or not 1 <= count <= split.images:
        raise FieldError((number, "take"), f"'take' must be a number from 1 to {split.images}, not {count!r}")
    return first_of(whole, split.split, count)


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
    words = [
        f"{evaluation.dataset}, {evaluation.split}",
        *(f"{k} {option_in_words(v)}" for k, v in evaluation.condition.items()),
    ]
    return ", ".join(words[:1] + words[2:])  # the kind of the condition is the same for all of a task
