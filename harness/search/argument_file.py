"""A search file of a function's arguments as a space, with every argument that it searches checked.

search: width                     # its name in the store
task: function
target: train.py:run              # a file beside this one, or my_package.train:run
metrics: {accuracy: maximize}
arguments: {epochs: 3}            # what is not searched
seeds: [0]
space:
  arguments.width: {low: 4, high: 64, log: true}
  arguments.optimizer: [sgd, adam]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean
from harness.search.arguments import ArgumentSpace
from harness.search.form import ArgumentFile, RangeForm
from harness.search.space import Choice, Range

_PREFIX = "arguments."
_SCALARS = (bool, int, float, str, type(None))


def argument_space(file: ArgumentFile, folders: Sequence[str]) -> ArgumentSpace:
    """Return the space of a file. Raises FieldError: an argument that the function does not take, an empty range."""
    choices = {_name(path): _choice(path, said) for path, said in file.space.items()}
    fixed = file.arguments or {}
    for name in choices:
        if name in fixed:
            raise FieldError(("arguments", name), f"'{name}' is searched for in 'space': leave it out here")
    parts = {"task": file.task, "target": file.target, "metrics": file.metrics, "inputs": file.inputs}
    space = ArgumentSpace(parts, fixed, choices, tuple(folders))
    try:
        sample = space.sample
        for name, choice in choices.items():
            for value in (choice.low, choice.high) if isinstance(choice, Range) else choice:
                chosen = {**_chosen(space, sample), name: value}
                space.trial(space.placement(chosen))
    except FieldError as error:
        if error.path[:1] == ("arguments",) and error.path[1:2] and error.path[1] in choices:
            raise FieldError(("space", f"{_PREFIX}{error.path[1]}"), error.message) from error.__cause__
        raise
    if file.sampler == "brute" and space.size == float("inf"):
        name = next(n for n, c in choices.items() if isinstance(c, Range) and c.size == float("inf"))
        message = f"brute force needs a list, whole numbers or a 'step' for '{name}'"
        raise FieldError(("space", f"{_PREFIX}{name}"), message)
    return space


def objectives_of(file: ArgumentFile, metrics: Mapping[str, str]) -> tuple[str, ...]:
    """Return the metrics that are searched for, by default the first. Raises FieldError for one that there is not."""
    for number, name in enumerate(file.objectives or ()):
        if name not in metrics:
            near = did_you_mean(name, metrics)
            raise FieldError(("objectives", number), f"'{name}' is none of the metrics{near}")
    return tuple(file.objectives or [next(iter(metrics))])


def _chosen(space: ArgumentSpace, sample: Any) -> dict[str, Any]:
    first = {name: c.low if isinstance(c, Range) else c[0] for name, c in space.choices.items()}
    return {**first, **{n: v for n, v in sample.config["arguments"].items() if n in space.choices}}


def _name(path: str) -> str:
    name = path.removeprefix(_PREFIX)
    if name == path or not name.isidentifier():
        raise FieldError(("space", path), f"'{path}' must be {_PREFIX}NAME, an argument of the function")
    return name


def _choice(path: str, said: Any) -> Choice:
    """Return a list of values, or a range. Raises FieldError for what is neither."""
    place = ("space", path)
    if isinstance(said, list):
        if not said or not all(isinstance(value, _SCALARS) for value in said) or len(set(said)) != len(said):
            raise FieldError(place, f"a list of different numbers or words is wanted, not {said!r}")
        return tuple(said)
    if not isinstance(said, dict):
        raise FieldError(place, f"write {{low: …, high: …}} or a list of values, not {said!r}")
    form = validate(RangeForm, said, place)
    if form.low >= form.high:
        raise FieldError((*place, "low"), f"'low' must be less than 'high', not {form.low} and {form.high}")
    if form.log and form.low <= 0:
        raise FieldError((*place, "low"), f"with 'log: true' numbers must be above 0, not {form.low}")
    if form.step is not None and (form.step <= 0 or form.log):
        raise FieldError((*place, "step"), "'step' must be above 0, and does not go with 'log: true'")
    found = Range(form.low, form.high, form.step, form.log)
    return found if found.whole else Range(float(form.low), float(form.high), form.step, form.log)
