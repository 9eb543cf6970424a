"""The front of a search, the placements that no other beats in every objective, and the study file that a search writes
of it: trained on the whole training set, to meet the test set.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from ruamel.yaml import YAML

from harness.attempt.metrics import Direction
from harness.base.errors import HarnessError
from harness.base.files import atomic_write
from harness.search.file import Search
from harness.search.space import Placement
from harness.stats.front import pareto

_PLACED: tuple[Direction, ...] = ("maximize", "minimize")


@dataclass(frozen=True)
class ScoredPlacement:
    """A placement with a value: the first objective's mean over the search's seeds, and what else counts.

    `words` is the placement for people; `costs` has its further objectives, and parameters and MACs of a network.
    """

    placement: Placement
    words: str
    key: str
    mean: float
    values: Mapping[int, float]  # by seed
    costs: Mapping[str, float]
    attempts: tuple[str, ...]  # whose values these are
    confirmed: Mapping[int, float | None] = field(default_factory=dict)  # by fresh seed; None: not known

    @property
    def confirmed_mean(self) -> float | None:
        """The mean over the fresh seeds; None if there are none, or one of them has no value."""
        values = [value for value in self.confirmed.values() if value is not None]
        return fmean(values) if values and len(values) == len(self.confirmed) else None


def front(
    candidates: Sequence[ScoredPlacement], objectives: Sequence[str], directions: Sequence[Direction] = _PLACED
) -> list[ScoredPlacement]:
    """Return the front, the cheapest first.

    With two objectives: those for which no other is at least as good in both and better in one. With one alone: the
    best one, of equals that with the fewest parameters.
    """
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    ordered = sorted(candidates, key=lambda c: (c.costs.get("parameters", 0.0), c.words))
    if len(objectives) == 1:
        return [max(ordered, key=lambda c: signs[0] * c.mean)] if ordered else []
    cost = objectives[1]
    points = [(-signs[1] * c.costs[cost], signs[0] * c.mean) for c in ordered]
    chosen = [ordered[i] for i in pareto(points)]
    return sorted(chosen, key=lambda c: (c.costs[cost], c.mean, c.words))


_HEAD = "# The front of the search"


def check_place(path: Path) -> None:
    """Raise HarnessError if a front cannot be written to `path`: another file is there, or the folder is closed."""
    if path.exists() and not (path.is_file() and path.read_bytes().startswith(_HEAD.encode())):
        raise HarnessError(f"{path} is there and no front of a search: move it, name another 'study', or say --out")
    if path.parent.exists() and not os.access(path.parent, os.W_OK):
        raise HarnessError(f"the front cannot be written to {path.parent}: say --out FOLDER")


def write_front(path: Path, search: Search, front: Sequence[ScoredPlacement], members: int) -> None:
    """Write the study of a front. `members`: how many placements the search has."""
    parts = search.space.final_parts()
    seeds = ", ".join(map(str, search.seeds))
    how = f"{members} placements, sampler {search.sampler}, objectives {', '.join(search.objectives)}"
    name = search.objectives[0]
    what, found = "placement", [f"{name} on the validation split", f"{name} on the test set"]
    said = ["# Found without test data; this study trains on the whole training set and meets the test set."]
    if search.of_arguments:
        how = how.replace("placements", "points")
        what, found, said = "arguments", [f"{name} as the function returned it"] * 2, []
    lines = [
        f"{_HEAD} '{search.name}' ({search.file}), written by `harness search {what}`.",
        f"# {how}; {found[0]}, seeds {seeds}.",
        *said,
        f"study: {search.front_name}",
        f"description: {_flow(f'The front of the search {search.name}: {found[1]}.')}",
        *(f"{name}: {_flow(value)}" for name, value in parts.items()),
        f"seeds: {_flow(list(search.front_seeds))}",
        *_execution(search),
        "trials:",
    ]
    for candidate in front:
        lines += _entry(search, candidate)
    atomic_write(path, "\n".join(lines) + "\n")


def _entry(search: Search, candidate: ScoredPlacement) -> list[str]:
    differs = search.space.entry(candidate.placement)
    values = ", ".join(f"seed {seed}: {value:.4f}" for seed, value in candidate.values.items())
    return [
        f"  # trial {candidate.key}, attempts {', '.join(candidate.attempts)}; {values}",
        f"  - name: {_flow(candidate.words)}",
        *(f"    {name}: {_flow(value)}" for name, value in differs.items()),
    ]


def _execution(search: Search) -> list[str]:
    said = search.execution.model_dump(exclude_defaults=True)
    return [f"execution: {_flow(said)}"] if said else []


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 10_000
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue().removesuffix("\n").removesuffix("\n...")
