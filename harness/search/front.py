"""The front of a search: the placements that no other beats in every objective."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from harness.attempt.metrics import Direction
from harness.search.space import Placement

_PLACED: tuple[Direction, ...] = ("maximize", "minimize")


@dataclass(frozen=True)
class Candidate:
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
        """The mean over the fresh seeds; None where there are none, or one of them has no value."""
        values = [value for value in self.confirmed.values() if value is not None]
        return fmean(values) if values and len(values) == len(self.confirmed) else None


def front(
    candidates: Sequence[Candidate], objectives: Sequence[str], directions: Sequence[Direction] = _PLACED
) -> list[Candidate]:
    """Return the front, the cheapest first.

    With two objectives: those for which no other is at least as good in both and better in one. With one alone: the
    best one, of equals that with the fewest parameters.
    """
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    ordered = sorted(candidates, key=lambda c: (c.costs.get("parameters", 0.0), c.words))
    if len(objectives) == 1:
        return [max(ordered, key=lambda c: signs[0] * c.mean)] if ordered else []
    cost = objectives[1]

    def dominates(one: Candidate, other: Candidate) -> bool:
        better = (signs[0] * (one.mean - other.mean), signs[1] * (one.costs[cost] - other.costs[cost]))
        return min(better) >= 0 and max(better) > 0

    chosen = [c for c in ordered if not any(dominates(other, c) for other in ordered)]
    return sorted(chosen, key=lambda c: (c.costs[cost], c.mean, c.words))
