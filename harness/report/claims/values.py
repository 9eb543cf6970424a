"""What is stored of a claim's trials, as one number a run: results, numbers behind the figures, times, counts.

`claims.yml` says of each quantity what it is; those of curves and maps are computed as for the figures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from harness.attempt.messages import Point, unflagged
from harness.base.keys import canonical_json
from harness.report.claims.arithmetic import paper_table
from harness.report.claims.claim import Claim, Family, Quantity
from harness.report.tables.conditions import behind
from harness.report.tables.expected import configs_of_the_paper
from harness.report.tables.provenance import accepted_remarks
from harness.report.tables.selection import values
from harness.report.tables.table import CLEAN, Evaluated
from harness.report.tables.timings import Composition, Machine, Session, composition, machine_of, sessions
from harness.stats.comparison import gaps
from harness.store.find import values as values_of
from harness.store.records import AttemptRecord, Snapshot
from harness.trial.counts import counts_of

if TYPE_CHECKING:
    from harness.report.figures.results import Array, Maps, Series

Curves = Callable[[str], Sequence[Point]]  # an attempt's uid -> its curve
MapsOf = Callable[[AttemptRecord], "Maps | None"]
Counts = Callable[[Mapping[str, Any]], Mapping[str, float] | None]  # a configuration -> what its network costs
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
    timed: "Timed | None" = None  # how times were taken: then a gap per session
    remarks: tuple[str, ...] = ()  # by whose word runs count that are not those of the trials themselves


@dataclass(frozen=True)
class Timed:
    """On what the times of a claim were taken, in which sessions, and what they give on other devices."""

    machine: Machine
    sessions: tuple[str, ...]  # when each began, oldest first
    elsewhere: tuple[tuple[Machine, tuple[float, ...]], ...] = ()  # gaps per session, which decide nothing


@dataclass(frozen=True)
class Stored:
    """Where the numbers are from: the snapshot, by attempt its curve and its maps, and what counts other networks."""

    snapshot: Snapshot
    curves: Curves
    maps: MapsOf
    counts: Counts = counts_of

    @cached_property
    def _keys(self) -> Mapping[tuple[str, str], str]:
        """The newest trial of each study and name, but for what `--set` made of it."""
        own = (record for record in self.snapshot.study_trials if record.overrides is None)
        return {(record.study, record.name): record.trial_key for record in own}

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
        which; both on the device that has the most sessions, by as many threads, and with a gap per session.
        """
        quantity = family.quantities[claim.quantity]
        keys = self.keys(family, quantity) if keys is None else keys
        timed = None
        if quantity.source == "measure":
            sides = self._measured_alike(claim, keys, quantity.name)
        elif quantity.source == "timing":
            timed, sides = self._timed(family, claim, keys, ("paper", "ours") if composed is None else (composed,))
        else:
            sides = [self._side(family, name, claim.quantity, keys) for name in claim.trials]
        missing = tuple(
            f"{family.trials[name].study}/{filled(family.trials[name].name, quantity)}"
            + self._only_elsewhere(family, quantity, keys.get(name))
            for name, side in zip(claim.trials, sides, strict=True)
            if not side
        )
        one, other = _same_seeds(family, claim, sides)
        seeds = tuple(seed for seed in one if other is None or seed in other) if timed is None else ()
        runs, remarks = self._runs(family, claim, keys), self._remarks(claim, keys)
        return Measured(claim, seeds, _gaps(claim, one, other), missing, runs, timed, remarks)

    def _only_elsewhere(self, family: Family, quantity: Quantity, key: str | None) -> str:
        """Return on which datasets alone results of a trial are stored, if not on that of a quantity."""
        if quantity.source != "result" or key is None:
            return ""
        found = {place for run in self.snapshot.runs(key).values() for place, _ in values_of(self.snapshot, run)}
        stored = sorted({self.snapshot.evaluations[place].dataset for place in found})
        wanted = _evaluated(family, quantity)[1]
        return "" if not stored or wanted in stored else f" on {wanted} (stored only on {' and '.join(stored)})"

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
        if quantity.source == "cost":
            return self._count(family.trials[name].study, filled(family.trials[name].name, quantity), key, quantity)
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
        if quantity.source == "curve":
            return self._off_curves(word, quantity, key)
        if quantity.source == "artifact":
            return self._off_maps(word, name, key, keys)
        on, dataset = _evaluated(family, quantity)
        on = behind(family.trials[name].denoiser, on)
        found = values(self.snapshot, key, sorted(self.snapshot.runs(key)), quantity.name, on, dataset)
        return {seed: value for seed, value in found.items() if value is not None}

    def _count(self, study: str, name: str, key: str | None, quantity: Quantity) -> Values:
        """Return a count: as stored, else of the network that the trial, or a table of the paper, says it is."""
        costs = {} if key is None else self.snapshot.trials[key].costs
        if quantity.name not in costs:
            config = configs_of_the_paper().get((study, name)) if key is None else self.snapshot.trials[key].config
            costs = {} if config is None else self._counted(config)
        return {0: costs[quantity.name]} if quantity.name in costs else {}

    def _counted(self, config: Mapping[str, Any]) -> Mapping[str, float]:
        """Return what a network costs, counted once for all claims on it, whatever trains it."""
        network = canonical_json([config["model"], config["compressors"]])
        if network not in self._costs:
            self._costs[network] = self.counts(config) or {}
        return self._costs[network]

    def _measured_alike(self, claim: Claim, keys: Keys, name: str) -> list[Values]:
        """Return what was measured of each trial's runs, at the seeds at which all of them ran on one device, by as
        many threads and composed alike.
        """
        runs = [{} if (key := keys.get(trial)) is None else self.snapshot.runs(key) for trial in claim.trials]
        alike = [
            seed
            for seed in sorted(set.intersection(*map(set, runs)))
            if len({(machine_of(by[seed]), composition(by[seed])) for by in runs}) == 1
        ]
        return [{seed: by[seed].measures[name] for seed in alike if name in by[seed].measures} for by in runs]

    def _timed(
        self, family: Family, claim: Claim, keys: Keys, order: Sequence[Composition]
    ) -> tuple[Timed | None, list[Values]]:
        """Return a time of each trial by session, of the first composition in which some session timed all of them, and
        how they were taken.
        """
        name = family.quantities[claim.quantity].name
        wanted = [keys.get(trial) for trial in claim.trials]
        for composed in order:
            by_machine: dict[Machine, list[Session]] = {}
            for session in self._sessions[composed]:
                if all(name in _measures(session, key) for key in wanted):
                    by_machine.setdefault(session.machine, []).append(session)
            if by_machine:
                chosen = max(
                    by_machine, key=lambda machine: (len(by_machine[machine]), by_machine[machine][-1].started)
                )
                sides = {
                    machine: [{i: _measures(session, key)[name] for i, session in enumerate(found)} for key in wanted]
                    for machine, found in by_machine.items()
                }
                elsewhere = tuple((p, _gaps(claim, *sides[p])) for p in by_machine if p != chosen)
                return Timed(chosen, tuple(s.started for s in by_machine[chosen]), elsewhere), sides[chosen]
        return None, [{} for _ in claim.trials]

    @cached_property
    def _costs(self) -> dict[str, Mapping[str, float]]:
        return {}

    @cached_property
    def _sessions(self) -> Mapping[Composition, Sequence[Session]]:
        return {composed: sessions(self.snapshot, composed) for composed in get_args(Composition)}

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
        others = _others(word, list(theirs), own=name == BASELINE)
        found = {seed: similarity(mine[seed], theirs[other]) for seed, other in others.items() if seed in mine}
        return {seed: 1 - value for seed, value in found.items()} if word.startswith("distance") else found

    def _maps(self, key: str) -> "dict[int, Array]":
        found = {seed: self.maps(run) for seed, run in sorted(self.snapshot.runs(key).items())}
        return {seed: each.maps for seed, each in found.items() if each is not None}


def _others(word: str, seeds: Sequence[int], *, own: bool) -> dict[int, int]:
    """Return with the baseline of which seed the maps of each seed are compared.

    Pairs of seeds share none, so that what they give is independent; the next seed's baseline serves two.
    """
    if word.endswith("in pairs of seeds"):
        return dict(zip(seeds[::2], seeds[1::2], strict=False))
    if word.endswith("the baseline") and not own:
        return {seed: seed for seed in seeds}
    return dict(zip(seeds, [*seeds[1:], *seeds[:1]], strict=True)) if len(seeds) > 1 else {}


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


def _measures(session: Session, key: str | None) -> Mapping[str, float]:
    """Return what a session measured of a trial; nothing where it did not time it."""
    timed = None if key is None else session.by_trial.get(key)
    return {} if timed is None else timed.measures


def _gaps(claim: Claim, one: Values, other: Values | None = None) -> tuple[float, ...]:
    """Return the gap at each seed, or session, that both sides have; of a side alone, its gap to nothing."""
    null = 1.0 if claim.scale == "ratio" else 0.0
    sides = [dict.fromkeys(one, null) if other is None else other, one]
    if claim.scale == "ratio":
        sides = [{i: math.log(value) if value > 0 else math.nan for i, value in side.items()} for side in sides]
    return tuple(gaps(*sides).values())


def _evaluated(family: Family, quantity: Quantity) -> tuple[Evaluated, str]:
    """Return the evaluation that a result is of, and its dataset."""
    dataset = quantity.dataset or family.dataset
    condition = quantity.condition
    if family.table is not None:
        table = paper_table(family.table, family.paper)
        columns = [c for c in table.columns if (c.metric, c.where) == (quantity.name, quantity.where)]
        dataset = dataset or table.expect.dataset
        if columns and condition is None:
            return columns[0].evaluation, dataset
    return Evaluated(split=quantity.split or "test", condition=condition or dict(CLEAN)), str(dataset)
