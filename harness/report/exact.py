"""Exact counting behind the tests over seeds: of all choices of signs, and of all ways to share values out, how many
give a sum as large as the one seen. All are counted, none is drawn.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate


def signs_at_least(steps: Sequence[int], bound: int) -> int:
    """Return how many of the 2^n choices of signs of n whole numbers have a sum of at least `bound`.

    Each half of the numbers is written out by itself, 2^(n/2) sums: 40 numbers, none like another, take seconds.
    """
    one, other = _signed_sums(steps[::2]), sorted(_signed_sums(steps[1::2]).items())
    totals = [total for total, _ in other]
    # as_large[i]: the choices of the other half whose sum is totals[i] or more; none behind the last
    as_large = [*reversed(list(accumulate(count for _, count in reversed(other)))), 0]
    return sum(count * as_large[bisect_left(totals, bound - total)] for total, count in one.items())


def shares(values: Sequence[int], size: int) -> Counter[int]:
    """Return how many of the choices of `size` of the values have each sum."""
    ways: list[Counter[int]] = [Counter() for _ in range(size + 1)]
    ways[0][0] = 1
    for value in values:
        for taken in range(size, 0, -1):
            for total, count in ways[taken - 1].items():
                ways[taken][total + value] += count
    return ways[size]


def doubled_midranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value among all, 1 for the least; equal ones share the mean of theirs."""
    ordered = sorted(values)
    return [2 * bisect_left(ordered, value) + ordered.count(value) + 1 for value in values]


def rank_sum_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sided p of one group's rank sum: twice the smaller tail over all ways to share out, at most 1."""
    ranks = doubled_midranks([*one, *other])
    seen, ways = sum(ranks[: len(one)]), shares(ranks, len(one))
    above = sum(count for total, count in ways.items() if total >= seen)
    below = sum(count for total, count in ways.items() if total <= seen)
    return min(1.0, 2 * min(above, below) / math.comb(len(ranks), len(one)))


def _signed_sums(steps: Sequence[int]) -> Counter[int]:
    sums = Counter({0: 1})
    for step in steps:
        following: Counter[int] = Counter()
        for total, count in sums.items():
            following[total + step] += count
            following[total - step] += count
        sums = following
    return sums
