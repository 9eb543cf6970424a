"""The front of a search: the placements that no other beats in every objective."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from harness.search.file import Objective
from harness.search.space import Placement, words


@dataclass(frozen=True)
class Candidate:
    """A placement with a value: mean accuracy on the validation split over the search's seeds, and its costs."""

    placement: Placement
    key: str
    accuracy: float
    values: Mapping[int, float]  # by seed
    costs: Mapping[str, float]
    attempts: tuple[str, ...]  # whose values these are
    confirmed: Mapping[int, float | None] = field(default_factory=dict)  # by fresh seed; None: not known

    @property
    def words(self) -> str:
        """The placement for people."""
        return words(self.placement)

    @property
    def confirmed_mean(self) -> float | None:
        """The mean accuracy over the fresh seeds; None where there are none, or one of them has no value."""
        values = [value for value in self.confirmed.values() if value is not None]
        return fmean(values) if values and len(values) == len(self.confirmed) else None


def front(candidates: Sequence[Candidate], objectives: Sequence[Objective]) -> list[Candidate]:
    """Return the front, the cheapest first.

    With two objectives: those for which no other is at least as good in both and better in one. With the accuracy
    alone: the most accurate one, of equals that with the fewest parameters.
    """
    ordered = sorted(candidates, key=lambda c: (c.costs["parameters"], c.placement))
    if len(objectives) == 1:
        return [max(ordered, key=lambda c: c.accuracy)] if ordered else []
    cost = objectives[1]
    chosen = [c for c in ordered if not any(_dominates(other, c, cost) for other in ordered)]
    return sorted(chosen, key=lambda c: (c.costs[cost], c.accuracy, c.placement))


def _dominates(one: Candidate, other: Candidate, cost: Objective) -> bool:
    better = (one.accuracy - other.accuracy, other.costs[cost] - one.costs[cost])
    return min(better) >= 0 and max(better) > 0
