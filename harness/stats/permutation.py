"""Permutation tests over seeds: in how many ways signs could fall, or values be shared out, that look as extreme.

All ways are counted if that takes about a second. Beyond, they are drawn at random from a fixed seed: of B draws of
which b are as extreme, p is (b + 1) / (B + 1), which is never too small (Phipson and Smyth, 2010). Whether a test
counts or draws depends on the number of runs alone, so that it is known before anything has run.
"""

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sums = NDArray[np.int64]

COUNTED_FLIPS = 40
"""Up to so many differences all choices of signs are counted: 2^20 sums for either half."""
_COUNTED_SUMS = 1_000_000_000  # additions of a rank-sum test, at most
_STEPS = 10**9  # differences are whole multiples of so small a part of the largest
_SEED = 0


def flips(differences: Sequence[float], sides: int, draws: int | None) -> float:
    """Return the share of all choices of signs whose sum is as far from zero as that of the differences as they are.

    `sides` 1 asks for sums at least as large, 2 for either direction; `draws` None counts all choices, and a number
    draws as many. Differences are finite; sums that lie a billionth of the largest difference apart are equal.
    """
    largest = max(map(abs, differences), default=0.0)
    whole = [round(value / largest * _STEPS) if largest else 0 for value in differences]
    seen = sum(whole) if sides == 1 else abs(sum(whole))
    bound = seen - len(whole)  # each of them was rounded by at most a half, on both sides of the comparison
    if sides == 2 and bound <= 0:
        return 1.0
    if draws is None:
        return sides * _at_least(whole, bound) / int(2 ** len(whole))
    sums = _drawn_sums(whole, draws)
    as_extreme = int(((abs(sums) if sides == 2 else sums) >= bound).sum())
    return (as_extreme + 1) / (draws + 1)


def _at_least(steps: Sequence[int], bound: int) -> int:
    """Return how many of the 2^n choices of signs have a sum of at least `bound`, from the sums of either half."""
    import numpy as np

    one, other = (np.sort(signed_sums(half)) for half in (steps[::2], steps[1::2]))
    return int((other.size - np.searchsorted(other, bound - one)).sum())


def signed_sums(steps: Sequence[float]) -> Any:
    """Return the sums under all 2^n choices of signs, that of the values as they are first: integers if these are."""
    import numpy as np

    sums = np.zeros(1, dtype=np.int64)
    for step in steps:
        sums = np.concatenate([sums + step, sums - step])
    return sums


def _drawn_sums(steps: Sequence[int], draws: int) -> "Sums":
    """Return the sums under so many random choices of signs, the same in every call."""
    import numpy as np

    generator = random.Random(_SEED)  # noqa: S311 - draws that anyone can repeat, on any version
    sums = np.full(draws, -sum(steps), dtype=np.int64)
    for step in steps:
        bits = np.frombuffer(generator.randbytes((draws + 7) // 8), dtype=np.uint8)
        sums += 2 * step * np.unpackbits(bits)[:draws].astype(np.int64)
    return sums


def counts_ranks(one: int, other: int) -> bool:
    """Return whether all ways to share out the ranks of so many runs of either group are counted, and none drawn."""
    total, size = one + other, min(one, other)
    return total * size * (total + 1) * size * 2 <= _COUNTED_SUMS


def rank_sum(one: Sequence[float], other: Sequence[float], draws: int | None) -> float:
    """Return the two-sided p of one group's rank sum: twice the smaller tail over all ways to share out, at most 1.

    `draws` None counts all ways, in double precision; a number draws as many.
    """
    ranks = doubled_midranks([*one, *other])
    if len(one) > len(other):
        one, ranks = other, [*ranks[len(one) :], *ranks[: len(one)]]
    size = len(one)
    seen = sum(ranks[:size])
    if draws is None:
        ways = _ways(ranks, size)
        tail = min(float(ways[seen:].sum()), float(ways[: seen + 1].sum()))
        return min(1.0, 2 * tail / math.comb(len(ranks), size))
    sums = _shared_sums(ranks, size, draws)
    tail = min(int((sums >= seen).sum()), int((sums <= seen).sum()))
    return min(1.0, 2 * (tail + 1) / (draws + 1))


def _shared_sums(ranks: Sequence[int], size: int, draws: int) -> "Sums":
    """Return the sum of `size` of the ranks under so many random ways to share them out, the same in every call."""
    import numpy as np

    values = np.asarray(ranks, dtype=np.int64)
    generator = np.random.RandomState(_SEED)  # whose numbers no version of numpy changes
    return np.array([generator.permutation(values)[:size].sum() for _ in range(draws)], dtype=np.int64)


def doubled_midranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value among all, 1 for the least; equal ones share the mean of theirs."""
    ordered = sorted(values)
    return [bisect_left(ordered, value) + bisect_right(ordered, value) + 1 for value in values]


def _ways(values: Sequence[int], size: int) -> "NDArray[np.float64]":
    """Return how many of the choices of `size` of the values have each sum, by sum."""
    import numpy as np

    most = sum(sorted(values)[len(values) - size :])
    ways = np.zeros((size + 1, most + 1))  # by how many are chosen, and their sum
    ways[0, 0] = 1
    for value in values:
        ways[1:, value:] += ways[:-1, : most + 1 - value]
    chosen: NDArray[np.float64] = ways[size]
    return chosen
