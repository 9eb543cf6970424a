"""The points among which a search of a function's arguments chooses, a value for each argument that is searched, as its
file says them, with every argument checked.

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

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.base.checks import FieldError, validate
from harness.base.errors import did_you_mean, printable_line
from harness.base.keys import canonical_json
from harness.search.form import ArgumentFile, RangeForm
from harness.search.space import Choice, Placement, Range
from harness.trial.function import target_signature
from harness.trial.resolve import Trial, resolve_trial

_DIGITS = 4
_SCALARS = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class ArgumentSpace:
    """All values of some arguments of a person's own function, the others fixed."""

    parts: Mapping[str, Any]  # task, target, metrics, as resolve_trial takes them
    fixed: Mapping[str, Any]
    choices: Mapping[str, Choice]  # by argument
    plugin_folders: Sequence[str] = ()
    _trials: dict[Placement, Trial] = field(default_factory=dict, repr=False, compare=False)

    @property
    def size(self) -> float:
        """How many points there are; infinite if an argument is any number of a range."""
        return math.prod(c.size if isinstance(c, Range) else len(c) for c in self.choices.values())

    @property
    def sample(self) -> Trial:
        """Some trial of the space, for what all have in common."""
        return self.trial(self.placement({name: _first(choice) for name, choice in self.choices.items()}))

    def placement(self, chosen: Mapping[str, Any]) -> Placement:
        """Return the point of a choice an argument; numbers of a range are written with few digits (`_written`)."""
        return tuple((name, _written(choice, chosen[name])) for name, choice in self.choices.items())

    def chosen(self, placement: Placement) -> dict[str, Any]:
        """Return the choice of each argument at a point."""
        return dict(placement)

    def trial(self, placement: Placement) -> Trial:
        """Return the trial of a point. Raises FieldError if it cannot be."""
        if placement not in self._trials:
            arguments = {**self.fixed, **dict(placement)}
            self._trials[placement] = resolve_trial(
                **self.parts, arguments=arguments, plugin_folders=self.plugin_folders
            )
        return self._trials[placement]

    def find(self, key: str, config: Mapping[str, Any]) -> Placement | None:
        """Return the point whose trial has this key and configuration, or None if it is none of these."""
        if config.get("task") != self.sample.config["task"]:
            return None
        given = {**self._defaults, **config["arguments"]}
        if any(name not in given or not _holds(choice, given[name]) for name, choice in self.choices.items()):
            return None
        found = tuple((name, given[name]) for name in self.choices)
        return found if self.trial(found).key == key else None

    def words(self, placement: Placement) -> str:
        """Return a point for people: "width=8, rate=0.01"."""
        return printable_line(", ".join(f"{name}={value}" for name, value in placement))

    def entry(self, placement: Placement) -> dict[str, Any]:
        """Return what differs between points, as a study writes it."""
        return {"arguments": {**self.fixed, **dict(placement)}}

    def final_parts(self) -> dict[str, Any]:
        """Return the parts of the study that is written at the end."""
        return {name: value for name, value in self.parts.items() if value is not None}

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        signature = target_signature(self.sample.config["task"]["target"], self.plugin_folders)
        return {n: p.default for n, p in signature.parameters.items() if isinstance(p.default, _SCALARS)}


def _first(choice: Choice) -> Any:
    return choice.low if isinstance(choice, Range) else choice[0]


def _written(choice: Choice, value: Any) -> Any:
    """Return a value that was proposed as it is to be written: no more digits than a person would.

    Four of its own, for a range over magnitudes, or of the width of the range, for a narrow one: whichever tells more.
    """
    if not isinstance(choice, Range) or isinstance(value, int):
        return value
    if choice.step is not None:
        return round(value, 12)
    width = min(choice.high - choice.low, sys.float_info.max)
    places = max(_DIGITS - 1 - math.floor(math.log10(size)) for size in (width, abs(value) or width))
    return min(max(round(value, places), choice.low), choice.high)


def _holds(choice: Choice, value: Any) -> bool:
    """Return whether a value is one of a choice: of a range, what it proposes, since 1 and 1.0 are two trials."""
    if isinstance(choice, Range):
        return type(value) is (int if choice.whole else float) and choice.holds(value)
    return any(canonical_json(value) == canonical_json(one) for one in choice)


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
    """Return the metrics that are searched for, by default the first. Raises FieldError for an unknown one."""
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
