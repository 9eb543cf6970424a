"""What is stored of a claim's trials, as one number a run: results, numbers behind the figures, times, counts.

`paper/claims.yml` says of each quantity what it is; those of curves and maps are computed as for the figures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harness.report.claims.arithmetic import paper_table
from harness.report.claims.claim import Claim, Family, Quantity
from harness.report.tables.provenance import accepted_remarks
from harness.report.tables.selection import values
from harness.report.tables.table import CLEAN, Evaluated
from harness.report.tables.timings import Composition, Place, clean_timings, place_of
from harness.spec.attempt import Point, unflagged
from harness.store.records import AttemptRecord, Snapshot

if TYPE_CHECKING:
    from harness.report.figures.results import Array, Maps, Series

Curves = Callable[[str], Sequence[Point]]  # an attempt's uid -> its curve
MapsOf = Callable[[AttemptRecord], "Maps | None"]
Keys = Mapping[str, str | None]  # a family's name of a trial -> the trial's key, None where it is not stored
Values = dict[int, float]  # by seed; counts and times as those of seed 0

BASELINE = "baseline"
"""The trial of a family that maps are compared with."""


@dataclass(frozen=True)
class Measured:
    """A claim with what is stored of it: a gap a seed, on the claim's scale (differences, or those of logarithms)."""

    claim: Claim
    seeds: tuple[int, ...]
    gaps: tuple[float, ...]
    missing: tuple[str, ...] = ()  # trials of which this quantity is not stored
    runs: int = 0  # seeds of which a run of each trial is stored, whether it has the quantity or not
    timed: "Timed | None" = None  # how times were taken
    remarks: tuple[str, ...] = ()  # by whose word runs count that are not those of the trials themselves


@dataclass(frozen=True)
class Timed:
    """On what the times of a claim were taken, and how sure their gap is."""

    place: Place
    repetitions: int  # of the trial that was timed less often: epochs, or passes over the test set
    ends: tuple[float, float] | None  # the least and the most gap that they give; None where one was timed once


@dataclass(frozen=True)
class Stored:
    """Where the numbers are from: the snapshot, and by attempt its curve and its maps."""

    snapshot: Snapshot
    curves: Curves
    maps: MapsOf

    @cached_property
    def _keys(self) -> Mapping[tuple[str, str], str]:
        """The newest trial of each study and name."""
        return {(record.study, record.name): record.trial_key for record in self.snapshot.study_trials}

    def keys(self, family: Family, quantity: Quantity) -> dict[str, str | None]:
        """Return the key of each of a family's trials, as a study that feeds the claims calls it, else its own."""
        found: dict[str, str | None] = {}
        for name, wanted in family.trials.items():
            said = filled(wanted.name, quantity)
            studies = dict.fromkeys((*family.studies, wanted.study))
            found[name] = next((self._keys[s, said] for s in studies if (s, said) in self._keys), None)
        return found

    def measure(
        self, family: Family, claim: Claim, keys: Keys | None = None, composed: Composition | None = None
    ) -> Measured:
        """Return a claim's gaps; `keys` names other trials in place of the family's own.

        Times are those of plain torch in the paper's order, and where these are not stored ours, unless `composed` says
        which; both on the device that was timed last, by as many threads.
        """
        keys = self.keys(family, family.quantities[claim.quantity]) if keys is None else keys
        timed = None
        if family.quantities[claim.quantity].source == "timing":
            timed, sides = self._timed(family, claim, keys, ("paper", "ours") if composed is None else (composed,))
        else:
            sides = [self._side(family, name, claim.quantity, keys) for name in claim.trials]
        missing = tuple(
            f"{family.trials[name].study}/{filled(family.trials[name].name, family.quantities[claim.quantity])}"
            for name, side in zip(claim.trials, sides, strict=True)
            if not side
        )
        one, other = _same_seeds(family, claim, sides)
        seeds = tuple(seed for seed in one if other is None or seed in other)
        null = 1.0 if claim.scale == "ratio" else 0.0
        pairs = [(one[seed], null if other is None else other[seed]) for seed in seeds]
        gaps = tuple(_gap(claim, a, b) for a, b in pairs)
        return Measured(claim, seeds, gaps, missing, self._runs(family, claim, keys), timed, self._remarks(claim, keys))

    def _remarks(self, claim: Claim, keys: Keys) -> tuple[str, ...]:
        """Return by whose word runs of a claim's trials count that are not their own."""
        known = [key for name in claim.trials if (key := keys.get(name)) is not None]
        behind = [run for key in known for run in (*self.snapshot.runs(key).values(), *self.snapshot.timings(key))]
        return tuple(accepted_remarks(behind))

    def _runs(self, family: Family, claim: Claim, keys: Keys) -> int:
        """Return at how many seeds a run of each trial of a claim is stored."""
        stored = [keys.get(name) for name in claim.trials if name not in family.constant]
        seeds = [set() if key is None else set(self.snapshot.runs(key)) for key in stored]
        return len(set.intersection(*seeds)) if seeds else 0

    def _side(self, family: Family, name: str, word: str, keys: Keys) -> Values:
        """Return a quantity of a trial by seed; empty where nothing is stored."""
        quantity, key = family.quantities[word], keys.get(name)
        if key is None:
            return {}
        found = self._values(family, name, word, key, keys)
        if quantity.minus is None:
            return found
        other = self.keys(family, family.quantities[quantity.minus]).get(name)
        less = {} if other is None else self._values(family, name, quantity.minus, other, keys)
        return {seed: value - less[seed] for seed, value in found.items() if seed in less}

    def _values(self, family: Family, name: str, word: str, key: str, keys: Keys) -> Values:
        quantity = family.quantities[word]
        if quantity.source == "cost":
            cost = self.snapshot.trials[key].costs.get(quantity.name)
            return {} if cost is None else {0: cost}
        if quantity.source == "curve":
            return self._off_curves(word, quantity, key)
        if quantity.source == "artifact":
            return self._off_maps(word, name, key, keys)
        on, dataset = _evaluated(family, quantity)
        found = values(self.snapshot, key, sorted(self.snapshot.runs(key)), quantity.name, on, dataset)
        return {seed: value for seed, value in found.items() if value is not None}

    def _timed(
        self, family: Family, claim: Claim, keys: Keys, order: Sequence[Composition]
    ) -> tuple[Timed | None, list[Values]]:
        """Return a time of each trial, of the first composition in which one place timed all, and how it was taken."""
        name = family.quantities[claim.quantity].name
        for composed in order:
            timings = [self._by_place(keys.get(trial), name, composed) for trial in claim.trials]
            shared = [place for place in timings[0] if all(place in each for each in timings)]
            if shared:
                chosen = [each[shared[-1]] for each in timings]
                counted = [int(attempt.measures.get(f"{name}_count", 1)) for attempt in chosen]
                ends = _ends(claim, name, chosen) if min(counted) > 1 else None
                return Timed(shared[-1], min(counted), ends), [{0: a.measures[name]} for a in chosen]
        return None, [{} for _ in claim.trials]

    def _by_place(self, key: str | None, name: str, composed: Composition) -> dict[Place, AttemptRecord]:
        """Return the newest timing in each place, that of the place which was timed last at the end."""
        found: dict[Place, AttemptRecord] = {}
        for attempt in [] if key is None else clean_timings(self.snapshot, key, composed):
            if name in attempt.measures:
                found.pop(place_of(attempt), None)
                found[place_of(attempt)] = attempt
        return found

    def _off_curves(self, word: str, quantity: Quantity, key: str) -> Values:
        """Return a quantity of the curve of each of a trial's runs that kept one."""
        from harness.report.figures.results import Series

        epochs = int(self.snapshot.trials[key].config.get("protocol", {}).get("epochs", 1))
        found = {}
        for seed, run in sorted(self.snapshot.runs(key).items()):
            kept = [p for p in self.curves(run.uid) if (p.name, p.split) == (quantity.name, quantity.split)]
            points = sorted((p.step, unflagged(p.value, p.flag)) for p in kept)
            if points:
                series = Series(tuple(step for step, _ in points), tuple(value for _, value in points))
                found[seed] = of_curve(word, series, series.steps[-1] // epochs)
        return found

    def _off_maps(self, word: str, name: str, key: str, keys: Keys) -> Values:
        """Return a quantity of the maps of each of a trial's runs that kept them."""
        from harness.report.figures.quantities import similarity, total_variation

        mine = self._maps(key)
        if word == "total variation":
            return {seed: total_variation(maps) for seed, maps in mine.items()}
        base = keys.get(BASELINE)
        theirs = {} if base is None else self._maps(base)
        seeds = list(theirs)
        following = dict(zip(seeds, seeds[1:] + seeds[:1], strict=True)) if len(seeds) > 1 else {}
        if word == "similarity to the baseline" and name != BASELINE:
            following = {seed: seed for seed in seeds}
        return {seed: similarity(mine[seed], theirs[other]) for seed, other in following.items() if seed in mine}

    def _maps(self, key: str) -> "dict[int, Array]":
        found = {seed: self.maps(run) for seed, run in sorted(self.snapshot.runs(key).items())}
        return {seed: each.maps for seed, each in found.items() if each is not None}


def filled(name: str, quantity: Quantity) -> str:
    """Return a trial's name with its braces filled from what the quantity is `where`."""
    for path, value in quantity.where.items():
        name = name.replace(f"{{{path}}}", str(value))
    return name


def of_curve(word: str, series: "Series", epoch: int) -> float:
    """Return a quantity of a curve; `epoch` is the number of steps of one."""
    from harness.report.figures import quantities as q

    last = series.steps[-1]
    if word == "steps to 97%":
        return q.steps_to(series, 0.97)
    if word == "successive deviation":
        return q.successive_deviation(series, epoch)
    if word.startswith("area under"):
        return q.area(series)
    late = q.late_mean(series, last - epoch)
    if word == "rise in the last epoch":
        return late - q.late_mean(_until(series, last - epoch), last - 2 * epoch)
    if word.endswith("last epoch over first"):
        return late / q.late_mean(_until(series, epoch), 0)
    return late


def _until(series: "Series", step: int) -> "Series":
    """Return the points of a curve up to a step."""
    from harness.report.figures.results import Series

    return Series(tuple(s for s in series.steps if s <= step), series.values[: sum(s <= step for s in series.steps)])


def _same_seeds(family: Family, claim: Claim, sides: Sequence[Values]) -> tuple[Values, Values | None]:
    """Return both sides by seed, a constant trial's one value at each seed of the other; None of a side alone."""
    if len(sides) == 1:
        return sides[0], None
    one, other = sides
    if claim.trials[1] in family.constant and other:
        return one, dict.fromkeys(one, next(iter(other.values())))
    if claim.trials[0] in family.constant and one:
        return dict.fromkeys(other, next(iter(one.values()))), other
    return one, other


def _ends(claim: Claim, name: str, timings: Sequence[AttemptRecord]) -> tuple[float, float] | None:
    """Return the least and the most that the gap of times can be, from the least and the most of each."""
    ends = [(a.measures.get(f"{name}_min"), a.measures.get(f"{name}_max")) for a in timings]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    if len(known) < len(timings):
        return None
    null = 1.0 if claim.scale == "ratio" else 0.0
    (low, high), (others_low, others_high) = [*known, (null, null)][:2]
    return _gap(claim, low, others_high), _gap(claim, high, others_low)


def _gap(claim: Claim, a: float, b: float) -> float:
    if claim.scale == "difference":
        return a - b
    return math.log(a) - math.log(b) if a > 0 and b > 0 else math.nan


def _evaluated(family: Family, quantity: Quantity) -> tuple[Evaluated, str]:
    """Return the evaluation that a result is of, and its dataset."""
    dataset = quantity.dataset or family.dataset
    condition = quantity.condition
    if family.table is not None:
        table = paper_table(family.table)
        columns = [c for c in table.columns if (c.metric, c.where) == (quantity.name, quantity.where)]
        dataset = dataset or table.expect.dataset
        if columns and condition is None:
            return columns[0].evaluation, dataset
    return Evaluated(split=quantity.split or "test", condition=condition or dict(CLEAN)), str(dataset)
