"""Which digests of code are shown to give the same bits, from runs that were made by both.

A digest changes with every change of a program, also one that computes the same. If a run is made again by the
changed code (`--retry stale`) and ends with the same weights and results, bit by bit, the two digests count as one, and
the other runs of the older are as good as today's. A single run that differs shows that they are two, whatever others
say. Only runs on one model of device are held against each other: elsewhere sums are taken in another order.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations

from harness.attempt.messages import ENDED_WELL
from harness.store.records import AttemptRecord

_Pair = frozenset[str]


def same_code(attempts: Iterable[AttemptRecord], weights: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return each digest for which another is shown to give the same bits, with all of these and itself.

    `weights` has the SHA-256 of the weights that an attempt left, by uid.
    """
    made: defaultdict[tuple[str, int, object], list[AttemptRecord]] = defaultdict(list)
    for a in attempts:
        if a.kind == "train" and a.state in ENDED_WELL and a.code_digest is not None and a.uid in weights:
            made[a.trial_key, a.seed, a.environment.get("device", a.device)].append(a)
    equal: set[_Pair] = set()
    unequal: set[_Pair] = set()
    for group in made.values():
        for one, other in combinations(group, 2):
            if one.code_digest != other.code_digest:
                alike = weights[one.uid] == weights[other.uid] and _agree(one, other)
                (equal if alike else unequal).add(frozenset((str(one.code_digest), str(other.code_digest))))
    return _classes(equal, unequal)


def _agree(one: AttemptRecord, other: AttemptRecord) -> bool:
    """Return whether two attempts have results in common, all of them equal; nan equals nan."""
    shared = one.results.keys() & other.results.keys()
    return bool(shared) and all(repr(one.results[name]) == repr(other.results[name]) for name in shared)


def _classes(equal: set[_Pair], unequal: set[_Pair]) -> dict[str, frozenset[str]]:
    """Return what equal pairs hang together, each digest with its class; none where two in it are shown to differ."""
    classes: dict[str, frozenset[str]] = {}
    for pair in equal:
        joined = frozenset().union(pair, *(classes.get(digest, frozenset()) for digest in pair))
        classes.update(dict.fromkeys(joined, joined))
    return {digest: found for digest, found in classes.items() if not any(pair <= found for pair in unequal)}
