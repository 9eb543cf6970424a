"""What the paper reads off Figs. 4, 5 and 6 as numbers: one per run for each network of Table 1, and for each claim
that rests on a figure how many seeds point the paper's way.

The quantities and the claims are those of `claims.yml`. Nothing is decided here: `harness report findings`
does that.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.report.claims.claim import Claim
from harness.report.claims.load import load_claims
from harness.report.figures.groups import Group, baseline_of, foremost, table_groups
from harness.report.figures.quantities import (
    area,
    late_mean,
    similarity,
    steps_to,
    successive_deviation,
    total_variation,
)
from harness.report.figures.results import Array, Results, Series, observed
from harness.report.printing import fixed
from harness.report.tables.provenance import accepted_remarks
from harness.stats.tests import mean

_TABLE = 1
_LISTED = 4  # values that are shown each
_MEASURES: Mapping[str, tuple[str, int]] = {  # name -> the figure that it is read from, digits
    "area under the curve": ("Fig. 4", 4),
    "steps to 97%": ("Fig. 4", 0),
    "successive deviation": ("Fig. 4", 5),
    "total variation": ("Fig. 5", 4),
    "similarity to the baseline": ("Fig. 5", 3),
    "hidden mean": ("Fig. 6", 4),
    "hidden variance": ("Fig. 6", 4),
}


@dataclass(frozen=True)
class Reading:
    """A quantity of one network: a value per seed."""

    quantity: str
    label: str
    values: Mapping[int, float]

    @property
    def words(self) -> str:
        """Mean and each seed's value, of many the range: "0.9558 (0.9532, 0.9583)", "0.9558 (0.9532 to 0.9583)"."""
        return mean_and_all(list(self.values.values()), _MEASURES[self.quantity][1])

    @property
    def mean_words(self) -> str:
        """The mean alone."""
        return fixed(mean(list(self.values.values())), _MEASURES[self.quantity][1])


def mean_and_all(values: Sequence[float], digits: int) -> str:
    """Return the mean, and in brackets each value; of more than four the least and the most."""
    if len(values) == 1:
        return fixed(values[0], digits)
    shown = ", ".join(fixed(value, digits) for value in values)
    if len(values) > _LISTED:
        shown = f"{fixed(min(values), digits)} to {fixed(max(values), digits)}"
    return f"{fixed(mean(list(values)), digits)} ({shown})"


@dataclass(frozen=True)
class Pointing:
    """A claim beside the numbers: of `seeds`, which have a value in both networks, how many point the paper's way."""

    claim: Claim
    first: Reading
    second: Reading
    seeds: tuple[int, ...]
    agreeing: int


@dataclass(frozen=True)
class Numbers:
    """All readings, by quantity in order of `figures`; what the claims say; and the spread of the baseline's CKA."""

    readings: tuple[Reading, ...]
    pointing: tuple[Pointing, ...]
    between_baselines: tuple[float, ...]  # CKA of the baseline's maps, each two seeds
    remarks: tuple[str, ...] = ()  # by whose word runs count that are not those of their trials

    def of(self, quantity: str) -> list[Reading]:
        """Return the readings of one quantity."""
        return [reading for reading in self.readings if reading.quantity == quantity]


def figure_of(quantity: str) -> str:
    """Return the figure from which a quantity is read."""
    return _MEASURES[quantity][0]


def quantities() -> list[str]:
    """Return the names of the quantities, figure by figure."""
    return list(_MEASURES)


def read_numbers(results: Results) -> Numbers:
    """Return every quantity of every network of Table 1 that is stored."""
    groups = table_groups(results.snapshot)
    maps = {g.label: _maps(results, g) for g in groups}
    base = baseline_of(groups)
    readings = []
    for quantity in _MEASURES:
        for group in groups:
            found = _values(results, quantity, group, maps, base)
            known = {seed: value for seed, value in found.items() if not math.isnan(value)}
            if known:
                readings.append(Reading(quantity, group.label, known))
    own = [] if base is None else list(maps[base.label].values())
    pairs = tuple(similarity(a, b) for i, a in enumerate(own) for b in own[i + 1 :])
    remarks = accepted_remarks(run for group in groups for run in group.runs.values())
    return Numbers(tuple(readings), tuple(_pointing(readings)), pairs, tuple(remarks))


def _values(
    results: Results, quantity: str, group: Group, maps: Mapping[str, dict[int, Array]], base: Group | None
) -> dict[int, float]:
    mine = maps[group.label]
    if quantity == "total variation":
        return {seed: total_variation(each) for seed, each in mine.items()}
    if quantity == "similarity to the baseline":
        if base is None or group.label == base.label:
            return {}
        theirs = maps[base.label]
        return {s: similarity(each, theirs[s]) for s, each in mine.items() if s in theirs}
    name = {"hidden mean": "hidden_mean", "hidden variance": "hidden_variance"}.get(quantity)
    metric = foremost(results.snapshot, [group])
    if name is None and metric is not None:
        name = metric.name
    found = {}
    for seed, run in group.runs.items():
        curve = None if name is None else observed(results, run.uid, name)
        if curve is not None:
            found[seed] = _of_curve(quantity)(curve[1], _epoch(group, curve[1]))
    return found


def _of_curve(quantity: str) -> Callable[[Series, int], float]:
    """Return what makes one number of a curve and the steps of an epoch."""
    made: dict[str, Callable[[Series, int], float]] = {
        "area under the curve": lambda series, _: area(series),
        "steps to 97%": lambda series, _: steps_to(series, 0.97),
        "successive deviation": successive_deviation,
    }
    return made.get(quantity, lambda series, epoch: late_mean(series, series.steps[-1] - epoch))


def _epoch(group: Group, series: Series) -> int:
    """Return the number of steps of an epoch: the last point is at the last step."""
    epochs = int(group.trial.config.get("protocol", {}).get("epochs", 1))
    return series.steps[-1] // epochs


def _maps(results: Results, group: Group) -> dict[int, Array]:
    found = {seed: results.maps(run) for seed, run in group.runs.items()}
    return {seed: each.maps for seed, each in found.items() if each is not None}


def _pointing(readings: Sequence[Reading]) -> Iterable[Pointing]:
    by_place = {(reading.quantity, reading.label): reading for reading in readings}
    for family in load_claims().families:
        if family.table != _TABLE:
            continue
        for claim in family.claims:
            pair = [by_place.get((claim.quantity, family.trials[name].name)) for name in claim.trials]
            first, second = pair
            if claim.quantity in _MEASURES and first is not None and second is not None:
                yield _compare(claim, first, second)


def _compare(claim: Claim, first: Reading, second: Reading) -> Pointing:
    seeds = tuple(sorted(set(first.values) & set(second.values)))
    agreeing = sum(_points(claim, first.values[seed], second.values[seed]) for seed in seeds)
    return Pointing(claim, first, second, seeds, agreeing)


def _points(claim: Claim, a: float, b: float) -> bool:
    """Return whether one seed points the claim's way; for "either", whether it lies within the margin."""
    if claim.direction == "greater":
        return a > b
    if claim.direction == "less":
        return a < b
    if claim.scale == "ratio":
        return 1 / claim.effect <= a / b <= claim.effect
    return abs(a - b) <= claim.effect


__all__ = ["Numbers", "Pointing", "Reading", "figure_of", "quantities", "read_numbers"]
