"""In what two runs, two studies or two stores differ: configuration, environment, metrics.

Two runs are compared value by value and bit by bit. Studies and stores are compared trial by trial, by the trials'
names: what only one of them has, whose configuration differs, the means of the metrics, and how many of the runs that
both have (the same key and seed) have the same bits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from harness.attempt.messages import Point, unflagged
from harness.store.circumstances import Pairs, changed, comparable, flat, in_order, of_attempt
from harness.store.connection import Store
from harness.store.find import metric_words, study_trials, values
from harness.store.queries import curve, installed, samples
from harness.store.records import AttemptRecord, Snapshot


@dataclass(frozen=True)
class RunDiff:
    """In what two attempts differ."""

    configuration: Pairs
    environment: Pairs
    metrics: Pairs  # all of them, also those that are equal
    curve: str  # in words
    images: Pairs  # metric → images whose values differ, of how many
    same_bits: bool  # of metrics, curve and values of images; not of times
    curve_differs: bool
    differing_items: tuple[str, ...]  # metrics of which both have values by image, in words, if these differ


def diff_runs(store: Store, found: Snapshot, a: AttemptRecord, b: AttemptRecord) -> RunDiff:
    """Compare two attempts of a store."""
    curves = curve(store, a.uid), curve(store, b.uid)
    packed = [{(s.evaluation, s.name): s for s in samples(store, each.uid)} for each in (a, b)]
    results = [{metric_words(found, place): value for place, value in values(found, x).items()} for x in (a, b)]
    metrics = paired(*results)
    return RunDiff(
        configuration=differing(flat(found.trials[a.trial_key].config), flat(found.trials[b.trial_key].config)),
        environment=_circumstances(store, a, b),
        metrics={**metrics, **paired(a.measures, b.measures)},
        curve=_curve_words(*curves),
        images={
            metric_words(found, place): (_differing_bits(packed[0][place].packed, packed[1][place].packed), one.count)
            for place, one in packed[0].items()
            if place in packed[1] and one.encoding == "bits" and one.count == packed[1][place].count
        },
        same_bits=all(same_number(x, y) for x, y in metrics.values())
        and curves[0] == curves[1]
        and packed[0] == packed[1],
        curve_differs=curves[0] != curves[1],
        differing_items=tuple(
            metric_words(found, place)
            for place, one in packed[0].items()
            if place in packed[1] and one != packed[1][place]
        ),
    )


@dataclass(frozen=True)
class Side:
    """One of two studies or stores: its trials by what they are called, each with its accepted runs by seed."""

    store: Store
    found: Snapshot
    trials: Mapping[str, str]  # name → key


def study_side(store: Store, found: Snapshot, study: str) -> Side:
    """Return a study as a side. Raises HarnessError if it is not stored."""
    return Side(store, found, study_trials(found, study))


def store_side(store: Store, found: Snapshot) -> Side:
    """Return all of a store as a side; its trials are called "STUDY: NAME"."""
    studies = dict.fromkeys(place.study for place in found.study_trials)
    named = {f"{study}: {name}": key for study in studies for name, key in study_trials(found, study).items()}
    alone = {key: key for key in found.trials if key not in named.values()}
    return Side(store, found, {**named, **alone})


@dataclass(frozen=True)
class SidesDiff:
    """In what two studies or two stores differ."""

    only_a: list[str]
    only_b: list[str]
    configuration: dict[str, Pairs]  # by trial
    environment: Pairs  # sorted texts of the values that occur, if these differ
    metrics: list[dict[str, Any]]  # trial, metric, a, b, runs_a, runs_b: means over the accepted runs
    common_runs: int
    differing_runs: list[str] = field(default_factory=list)  # runs of both whose metrics have not the same bits


def diff_sides(a: Side, b: Side) -> SidesDiff:
    """Compare two studies or stores."""
    both = [name for name in a.trials if name in b.trials]
    configuration = {
        name: differing(flat(a.found.trials[a.trials[name]].config), flat(b.found.trials[b.trials[name]].config))
        for name in both
    }
    runs = {(key, seed) for key in a.trials.values() for seed in a.found.runs(key)}
    common = sorted(run for run in runs if run[0] in b.trials.values() and run[1] in b.found.runs(run[0]))
    names = {key: name for name, key in a.trials.items()}
    return SidesDiff(
        only_a=[name for name in a.trials if name not in b.trials],
        only_b=[name for name in b.trials if name not in a.trials],
        configuration={name: pairs for name, pairs in configuration.items() if pairs},
        environment=_occurring(a, b),
        metrics=[row for name in both for row in _mean_rows(a, b, name)],
        common_runs=len(common),
        differing_runs=[f"{names[key]}, seed {seed}" for key, seed in common if not _same_run(a, b, key, seed)],
    )


def paired(a: Mapping[str, Any], b: Mapping[str, Any]) -> Pairs:
    """Return both sides' values by name."""
    return {name: (a.get(name), b.get(name)) for name in sorted({*a, *b})}


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Pairs:
    """Return those of both sides' values that differ."""
    return {name: pair for name, pair in paired(a, b).items() if pair[0] != pair[1] or (name in a) != (name in b)}


def _circumstances(store: Store, a: AttemptRecord, b: AttemptRecord) -> Pairs:
    """Return in which circumstances two attempts differ, with the seed and how they ended."""
    sides = [{"seed": each.seed, "state": each.state, **of_attempt(each)} for each in (a, b)]
    pairs = changed(*sides)
    if "installed" in pairs:
        lists = [installed(store, sha) for sha in pairs["installed"]]
        if all(lists):
            del pairs["installed"]
            named = {f"installed.{name}": pair for name, pair in differing(*lists).items()}
            pairs |= {name: pair for name, pair in named.items() if f"packages.{name[10:]}" not in pairs}
    return pairs


def same_number(one: Any, other: Any) -> bool:
    """Return whether two numbers are the same, nan as nan."""
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124


def _curve_words(a: tuple[Point, ...], b: tuple[Point, ...]) -> str:
    if a == b:
        return f"the same {len(a)} points" if a else "none"
    by_place = [{(p.step, p.split, p.name): (p.value, p.flag) for p in points} for points in (a, b)]
    places = sorted(place for place in {*by_place[0], *by_place[1]} if by_place[0].get(place) != by_place[1].get(place))
    step, split, name = places[0]
    shown = [str(unflagged(*pair)) if (pair := side.get(places[0])) else "missing" for side in by_place]
    return f"{len(places)} points differ, the first {split} {name} at step {step}: {shown[0]} and {shown[1]}"


def _differing_bits(a: bytes, b: bytes) -> int:
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def _accepted(side: Side) -> Iterable[AttemptRecord]:
    for key in dict.fromkeys(side.trials.values()):
        yield from side.found.runs(key).values()


def _occurring(a: Side, b: Side) -> Pairs:
    """Return the values that the circumstances of the sides' runs have, by name, if these differ."""
    known = [[{"state": run.state, **of_attempt(run)} for run in _accepted(side)] for side in (a, b)]
    pairs: Pairs = {}
    for name in comparable(*known):
        one, other = (sorted({str(run[name]) for run in side if name in run}) for side in known)
        if one != other:
            pairs[name] = (one or None, other or None)
    return in_order(pairs)


def _mean_rows(a: Side, b: Side, name: str) -> list[dict[str, Any]]:
    """Return the means of a trial's metrics on both sides: those of one evaluation, else those of the same words."""
    one, other = _means(a, name), _means(b, name)
    words = {side: {place: metric_words(of.found, place) for place in means}
             for side, of, means in (("a", a, one), ("b", b, other))}  # fmt: skip
    common = [place for place in one if place in other]
    rows = {place: (max(words["a"][place], words["b"][place], key=len), one[place], other[place]) for place in common}
    alone_a = {words["a"][place]: mean for place, mean in one.items() if place not in rows}
    alone_b = {words["b"][place]: mean for place, mean in other.items() if place not in rows}
    left = [(metric, *pair) for metric, pair in paired(alone_a, alone_b).items()]
    return [
        {"trial": name, "metric": metric, "a": one and one[0], "b": other and other[0],
         "runs_a": one[1] if one else 0, "runs_b": other[1] if other else 0}
        for metric, one, other in sorted([*rows.values(), *left], key=lambda row: row[0])
    ]  # fmt: skip


def _means(side: Side, name: str) -> dict[tuple[str, str], tuple[float, int]]:
    """Return the mean of each metric of a trial over its accepted runs, and how many these are."""
    by_place: dict[tuple[str, str], list[float]] = {}
    for attempt in side.found.runs(side.trials[name]).values():
        for place, value in values(side.found, attempt).items():
            by_place.setdefault(place, []).append(value)
    return {place: (fmean(each), len(each)) for place, each in by_place.items()}


def _same_run(a: Side, b: Side, key: str, seed: int) -> bool:
    one, other = (values(side.found, side.found.runs(key)[seed]) for side in (a, b))
    return all(same_number(x, y) for x, y in ((one.get(place), other.get(place)) for place in {*one, *other}))
