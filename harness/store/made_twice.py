"""Runs that were made more than once, none of the attempts superseding another: by machines whose stores were merged.

Both attempts stay. Whether they agree is a question of bits: of the metrics that both have, of the curve, of the values
by item. If they do not, what was otherwise when they were made may explain it; if nothing was, it is a fault.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.attempt.messages import ENDED_WELL
from harness.base.errors import printable_line
from harness.store.circumstances import Pairs, changed, in_words, may_change_bits, of_attempt
from harness.store.connection import Store
from harness.store.diff import diff_runs, same_number
from harness.store.find import metric_words, values
from harness.store.queries import snapshot
from harness.store.records import AttemptRecord, Snapshot

_SHOWN = 3  # metrics, and facts that changed


@dataclass(frozen=True)
class MadeTwice:
    """Two attempts at a run: the one by which it counts, and another."""

    label: str
    counts: AttemptRecord
    other: AttemptRecord
    differing: tuple[str, ...]  # in words, each with both values; empty if the bits are equal
    changed: Pairs  # what may change bits, and was otherwise

    @property
    def unexplained(self) -> bool:
        """Whether they differ, although nothing that was recorded explains it."""
        deterministic = all(each.execution.get("deterministic", True) for each in (self.counts, self.other))
        return bool(self.differing) and not self.changed and deterministic

    @property
    def words(self) -> str:
        """The run, and in what its attempts differ, in one line."""
        pair = f"attempts {self.counts.uid[:8]} and {self.other.uid[:8]}"
        if not self.differing:
            return f"{self.label}: {pair} have equal bits"
        facts = [f"{name} {in_words(one)} → {in_words(other)}" for name, (one, other) in self.changed.items()]
        why = _few(facts) or "nothing that was recorded and may change bits was otherwise"
        return f"{self.label}: {pair} differ: {_few(self.differing)}; {why}"


def _few(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join([*words[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def made_twice(store: Store) -> list[MadeTwice]:
    """Compare the attempts of each run that has several which ended well and of which none supersedes another."""
    twice = """SELECT 1 FROM attempt WHERE kind = 'train' AND state IN ('done', 'nan')
        GROUP BY run_id HAVING count(*) > 1 LIMIT 1"""
    if store.db.conn.execute(twice).fetchone() is None:
        return []
    found = snapshot(store)
    return [_compared(store, found, *pair) for pair in _pairs(found)]


def _pairs(found: Snapshot) -> Iterator[tuple[AttemptRecord, AttemptRecord]]:
    """Yield each attempt that is not superseded and by which its run does not count, after the one by which it does.

    What is not trained may have attempts that evaluated different things: these are not two of one thing.
    """
    ended: defaultdict[tuple[str, int], list[AttemptRecord]] = defaultdict(list)
    for attempt in found.attempts:
        if attempt.kind == "train" and attempt.state in ENDED_WELL:
            ended[attempt.trial_key, attempt.seed].append(attempt)
    for attempts in ended.values():
        superseded = {each.supersedes for each in attempts}
        for counts in (each for each in attempts if each.accepted):
            trained = found.trials[counts.trial_key].is_trained
            others = [a for a in attempts if not a.accepted and a.uid not in superseded]
            yield from ((counts, a) for a in others if trained or counts.results.keys() & a.results.keys())


def _compared(store: Store, found: Snapshot, counts: AttemptRecord, other: AttemptRecord) -> MadeTwice:
    facts = changed(of_attempt(counts), of_attempt(other))
    return MadeTwice(
        _label(found, counts),
        counts,
        other,
        tuple(_differing(store, found, counts, other)),
        {name: pair for name, pair in facts.items() if may_change_bits(name)},
    )


def _differing(store: Store, found: Snapshot, a: AttemptRecord, b: AttemptRecord) -> Iterator[str]:
    if a.state != b.state:
        yield f"ended {a.state} and {b.state}"
    one, other = values(found, a), values(found, b)
    for place in (place for place in one if place in other):  # one of the machines may have evaluated more
        if not same_number(one[place], other[place]):
            yield f"{printable_line(metric_words(found, place))} {one[place]!r} and {other[place]!r}"
    diff = diff_runs(store, found, a, b)
    if diff.curve_differs:
        yield f"curve: {printable_line(diff.curve)}"
    yield from (f"{printable_line(name)} of single items" for name in diff.differing_items)


def _label(found: Snapshot, attempt: AttemptRecord) -> str:
    places = [each for each in found.study_trials if each.trial_key == attempt.trial_key]
    name = f"{places[0].study}: {places[0].name}" if places else f"trial {attempt.trial_key[:8]}"
    return printable_line(f"{name}, seed {attempt.seed}")
