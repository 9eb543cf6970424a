"""What a number of seeds can show before anything has run: the smallest p that paired sign-flips can give a study.

A study that claims of the paper rest on has one-sided tests, corrected over each family of claims; any other has its
trials' rows in a table, each against one of them, two-sided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.claims.load import load_claims
from harness.report.tables.statistics_table import p_text
from harness.stats.tests import ALPHA, draws, smallest_p


@dataclass(frozen=True)
class Attainable:
    """The smallest p of so many paired seeds, before and after Holm's correction over so many tests."""

    seeds: int
    tests: int
    of: str  # what the tests are: "claims (Table 1)", "rows"
    sides: int = 1
    alpha: float = ALPHA

    @property
    def p(self) -> float:
        """Of one test."""
        return self._p(self.seeds)

    @property
    def draws(self) -> int | None:
        """How many choices of signs each test draws; None if it counts all."""
        return draws(self.seeds, self.tests, self.alpha)

    @property
    def p_holm(self) -> float:
        """Of all of them, after the correction."""
        return min(1.0, self.tests * self.p)

    @property
    def enough(self) -> int:
        """The number of seeds from which some outcome is significant after the correction."""
        seeds = 1
        while self.tests * self._p(seeds) >= self.alpha:
            seeds += 1
        return seeds

    def _p(self, seeds: int) -> float:
        return smallest_p(seeds, self.sides, self.tests, self.alpha)


def attainable(study: str, seeds: Sequence[Sequence[int]]) -> list[Attainable]:
    """Return what a study can tell at most, for each family of claims that it feeds, or for a table of its rows.

    `seeds` are those of each of its trials; the ones that all have are paired. Nothing if there is no pair.
    """
    shared = set.intersection(*map(set, seeds)) if seeds else set()
    if len(seeds) < 2 or not shared:
        return []
    fed = [f for f in load_claims().families if f.rests_on(study) and f.tests and not f.exploratory]
    if fed:
        return [Attainable(len(shared), f.tests, f"claims ({f.about.split(',')[0]})", alpha=f.alpha) for f in fed]
    return [Attainable(len(shared), len(seeds) - 1, "rows" if len(seeds) > 2 else "row", sides=2)]


def in_a_line(found: Sequence[Attainable]) -> str:
    """Return "9 seeds: the smallest p that paired sign-flips can give is 0.002, after Holm over 22 claims … 0.043"."""
    first = found[0]
    count = "1 seed" if first.seeds == 1 else f"{first.seeds} seeds"
    two_sided = "two-sided " if first.sides == 2 else ""
    each = ", over ".join(f"{a.tests} {a.of} {p_text(a.p_holm)}" for a in found)
    line = f"{count}: the smallest {two_sided}p that paired sign-flips can give is {p_text(first.p)}"
    drawn = max((a.draws for a in found if a.draws is not None), default=None)
    line += "" if drawn is None else f" by {drawn:,} draws of the signs"
    line += f", after Holm over {each}"
    short = [a for a in found if a.p_holm >= a.alpha]
    if not short:
        return line
    needed = max(a.enough for a in short)
    return f"{line}: too few runs to tell{'' if len(short) == len(found) else ' all'}, {needed} seeds would be enough"


def as_fields(found: Sequence[Attainable]) -> Mapping[str, float | int | None]:
    """Return the same as fields of a row, of the largest family; null if nothing can be paired."""
    worst = max(found, key=lambda a: a.tests, default=None)
    return {
        "smallest_p": None if worst is None else worst.p,
        "smallest_p_holm": None if worst is None else worst.p_holm,
        "tests": None if worst is None else worst.tests,
        "draws": None if worst is None else worst.draws,
    }
