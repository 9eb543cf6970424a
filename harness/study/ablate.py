"""`ablate:` at the top of a study: trials, a baseline and a family of claims from the parts that can be switched off.

    ablate:
      switches: {arguments.average: false, dropout: {protocol.dropout: 0}}   # what turns each part off
      metric: accuracy
      by: 0.005

A switch is a dotted path with the value that turns it off, or a name with several such paths. Designs:

leave-one-out   the whole, and without each part: does each part help the whole?
add-one-in      nothing, and each part alone: does each part help by itself?
one-at-a-time   the whole, and each of a list of values of each path
factorial       all combinations: main effects, and the interactions of two parts
fractional      half of these, such that the last part is on when an even number of the others is off; each main effect
                is aliased with the interaction of all other parts

Contributions are claimed to be `better` by `by`, interactions to be absent, `equal` within `by`. Each is one contrast
per seed, the mean over its pairs of trials, whose signs are flipped: cells are never permuted.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, NamedTuple

from harness.base.checks import FieldError
from harness.base.source import Source
from harness.study.study_file import AblateEntry

_MOST_SWITCHES = 8
CONTRIBUTIONS, INTERACTIONS = "contributions", "interactions"


class _Switch(NamedTuple):
    label: str
    off: Mapping[str, Any]  # by dotted path; of one-at-a-time a list of values at one path
    key: str  # as it is written


@dataclass(frozen=True)
class _Made:
    """A trial of a design: which parts are off in it."""

    name: str
    point: Mapping[str, Any]
    off: frozenset[str] = frozenset()

    def level(self, label: str) -> Literal[1, -1]:
        return -1 if label in self.off else 1


def base_name(ablate: Mapping[str, Any]) -> str:
    """Return the name of the trial that the others are held against."""
    default = "bare" if ablate.get("design") == "add-one-in" else "whole"
    return str(ablate.get("name") or default)


def with_ablation(source: Source) -> Source:
    """Return a study's source with the trials, the baseline and the claims that its `ablate` stands for.

    Raises SpecError for switches that the design cannot take.
    """
    written = source.data.get("ablate")
    if written is None:
        return source
    entry = AblateEntry.model_validate(written)
    try:
        made, claims = _design(entry, base_name(written))
    except FieldError as error:
        raise source.error(("ablate", *error.path), error.message) from None
    data = dict(source.data)
    lines = dict(source.lines)
    shared = {"metric": entry.metric, "by": entry.by, **({"on": entry.on} if entry.on else {})}
    trials = [{"name": _literal(m.name), **({"grid": {p: [v] for p, v in m.point.items()}} if m.point else {})}
              for m in made]  # fmt: skip
    for key, items in (("trials", trials), ("claims", [{**shared, **claim} for claim in claims])):
        before = list(data.get(key) or ())
        data[key] = [*before, *items]
        lines |= {(key, len(before) + i): lines.get(("ablate",), 0) for i in range(len(items))}
    data.setdefault("baseline", base_name(written))
    return replace(source, data=data, lines=lines)


@dataclass(frozen=True)
class Levels:
    """A factorial design, whole or half: by a trial's name, each part is 1 if it is on there and -1 if it is off."""

    parts: tuple[str, ...]
    by_trial: Mapping[str, Mapping[str, Literal[1, -1]]]
    half: bool
    metric: str


def factorial_levels(ablate: Mapping[str, Any]) -> Levels | None:
    """Return the levels of what a study has under `ablate`; None of another design, and of what is no design."""
    try:
        entry = AblateEntry.model_validate(ablate)
        if entry.design not in {"factorial", "fractional"}:
            return None
        made, _ = _design(entry, base_name(ablate))
        parts = tuple(_switch(key, value, entry.design).label for key, value in entry.switches.items())
    except (ValueError, FieldError):
        return None
    by_trial = {m.name: {part: m.level(part) for part in parts} for m in made}
    return Levels(parts, by_trial, entry.design == "fractional", entry.metric)


def _literal(name: str) -> str:
    return name.replace("{", "{{").replace("}", "}}")


def _design(entry: AblateEntry, base: str) -> tuple[list[_Made], list[dict[str, Any]]]:
    switches = [_switch(key, value, entry.design) for key, value in entry.switches.items()]
    labels = [switch.label for switch in switches]
    for number, switch in enumerate(switches):
        if switch.label in labels[:number]:
            raise FieldError(("switches", switch.key), f"two switches are called '{switch.label}': give them names")
    if entry.design == "one-at-a-time":
        return _one_at_a_time(entry, base, switches)
    if entry.design in {"factorial", "fractional"}:
        least = 2 if entry.design == "factorial" else 3
        if not least <= len(switches) <= _MOST_SWITCHES:
            wanted = f"{least} to {_MOST_SWITCHES} switches, not {len(switches)}"
            raise FieldError(("switches",), f"a {entry.design} design takes {wanted}")
        half = entry.design == "fractional"
        made = _factorial(entry, base, switches, half=half)
        interactions = [] if half else _interactions(entry, made, labels)
        return made, [*_main_effects(entry, made, labels, half=half), *interactions]
    alone = entry.design == "add-one-in"
    others = {label: frozenset(labels) - {label} if alone else frozenset({label}) for label in labels}
    every = frozenset(labels) if alone else frozenset()
    made = [_trial(entry, base, switches, every)]
    names = {label: f"{label} alone" if alone else f"without {label}" for label in labels}
    made += [_trial(entry, names[label], switches, off) for label, off in others.items()]
    sides = {label: (names[label], base) if alone else (base, names[label]) for label in labels}
    return made, [_helps(entry, label, a, b) for label, (a, b) in sides.items()]


def _switch(key: str, value: Any, design: str) -> _Switch:
    if isinstance(value, Mapping) and "." not in key:
        return _Switch(key, value, key)
    if design == "one-at-a-time" and not (isinstance(value, list) and value):
        raise FieldError(("switches", key), f"one-at-a-time takes a list of values of '{key}'")
    return _Switch(key.rpartition(".")[2], {key: value}, key)


def _trial(entry: AblateEntry, name: str, switches: Sequence[_Switch], off: frozenset[str]) -> _Made:
    """Return the trial in which some parts are off."""
    points = (switch.off for switch in switches if switch.label in off)
    return _Made(name, dict(itertools.chain(entry.base.items(), *(point.items() for point in points))), off)


def _one_at_a_time(
    entry: AblateEntry, base: str, switches: Sequence[_Switch]
) -> tuple[list[_Made], list[dict[str, Any]]]:
    made, claims = [_trial(entry, base, switches, frozenset())], []
    for label, off, _ in switches:
        for path, values in off.items():
            for value in values if isinstance(values, list) else [values]:
                name = f"{label} {value}"
                made.append(_Made(name, {**entry.base, path: value}))
                claims.append(_helps(entry, name, base, name, f"{base} beats {name}"))
    return made, claims


def _factorial(entry: AblateEntry, base: str, switches: Sequence[_Switch], *, half: bool) -> list[_Made]:
    """Return all combinations, the whole first; or the half in which the product of all levels is that of the whole."""
    made = []
    for levels in itertools.product((1, -1), repeat=len(switches)):
        if not half or prod(levels) == 1:
            off = [switch.label for switch, level in zip(switches, levels, strict=True) if level < 0]
            name = f"without {', '.join(off)}" if off else base
            made.append(_trial(entry, name, switches, frozenset(off)))
    return made


def _main_effects(
    entry: AblateEntry, made: Sequence[_Made], labels: Sequence[str], *, half: bool
) -> Iterator[dict[str, Any]]:
    for label in labels:
        aliases = f"aliased with {' × '.join(other for other in labels if other != label)}" if half else ""
        on, off = _sides(made, {m.name: m.level(label) for m in made})
        title = f"{label} helps on average over the other parts"
        yield {**_helps(entry, label, on, off, title), "why": aliases}


def _interactions(entry: AblateEntry, made: Sequence[_Made], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield that no two parts need each other; in a half, if these are aliased, nothing is said of them."""
    for one, other in itertools.combinations(labels, 2):
        plus, minus = _sides(made, {m.name: m.level(one) * m.level(other) for m in made})
        name = f"{_slug(one)}-by-{_slug(other)}"
        title = f"{one} and {other} do not interact: in {entry.metric}, within {entry.by:g}"
        yield {"id": name, "a": plus, "b": minus, "says": "equal", "family": INTERACTIONS, "title": title}


def _sides(made: Sequence[_Made], levels: Mapping[str, int]) -> tuple[list[str], list[str]]:
    plus, minus = ([m.name for m in made if levels[m.name] == sign] for sign in (1, -1))
    return plus, minus


def _helps(entry: AblateEntry, label: str, a: Any, b: Any, title: str = "") -> dict[str, Any]:
    title = f"{title or f'{label} helps, {a} against {b}'}: in {entry.metric}, by at least {entry.by:g}"
    return {"id": _slug(label), "a": a, "b": b, "says": "better", "family": CONTRIBUTIONS, "title": title}


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") or "part"
