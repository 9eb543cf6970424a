"""What came of methods over data sets: ranks, tests with their verdicts, and how probable each difference is.

Seeds are averaged first, so that a data set counts once however many seeds it has. The verdict on two methods is that
of Wilcoxon's signed ranks after Holm's correction: over the comparisons with one method if there is a baseline, else
over all pairs. Friedman's test and Nemenyi's critical difference are shown, as people expect them, and decide nothing:
what Nemenyi says of two methods depends on the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from harness.base.errors import HarnessError, did_you_mean
from harness.report.datasets.scores import Scores
from harness.stats.aggregate import (
    Estimate,
    interquartile_mean,
    mean_over_datasets,
    probability_of_improvement,
    profile,
)
from harness.stats.bayesian import Posterior, correlated_t, signed_rank
from harness.stats.ranks import Friedman, Pair, cliques, critical_difference, friedman, mean_ranks, signed_ranks
from harness.stats.tests import ALPHA, gap, mean

PairVerdict = Literal["better", "worse", "undecided", "too few data sets to tell"]
_THRESHOLDS = 21


@dataclass(frozen=True)
class MethodResult:
    """A method over all data sets."""

    name: str
    mean_rank: float
    mean: Estimate  # of the means by data set; the interval is over seeds, here and below
    interquartile_mean: Estimate
    profile: tuple[Estimate, ...]  # share of the runs above each threshold


@dataclass(frozen=True)
class DatasetPosterior:
    """Two methods on one data set: where the mean difference over the seeds lies."""

    dataset: str
    difference: float  # b minus a
    posterior: Posterior | None  # None of a single seed


@dataclass(frozen=True)
class PairResult:
    """Method b against method a. `better` is always what the metric says is better."""

    a: str
    b: str
    verdict: PairVerdict  # on b
    test: Pair
    improvement: Estimate  # how probable it is that a run of b beats one of a
    posterior: Posterior  # of a further data set
    by_dataset: tuple[DatasetPosterior, ...]


@dataclass(frozen=True)
class Comparison:
    """What came of all methods and pairs, and of the methods as a whole."""

    scores: Scores
    against: str | None  # the method that all others are compared with; None: all pairs
    rope: float
    overlap: float
    methods: tuple[MethodResult, ...]  # the best mean rank first
    friedman: Friedman
    reach: float  # Nemenyi's critical difference of two mean ranks
    cliques: tuple[tuple[str, ...], ...]  # groups that it does not tell apart
    pairs: tuple[PairResult, ...]
    thresholds: tuple[float, ...]


def compare(scores: Scores, against: str | None = None, *, rope: float = 0.0, overlap: float = 0.0) -> Comparison:
    """Return what came of a study's methods; `against` a method, by default that of the study's baseline, else none.

    `rope`: differences up to it are practically none. `overlap`: the share of the data that each seed tests on if seeds
    split the same data again. Raises HarnessError for an unknown method, and for fewer than two methods or data sets.
    """
    if len(scores.methods) < 2 or len(scores.datasets) < 2:
        raise HarnessError(_nothing_to_compare(scores))
    against = against if against is not None else scores.baseline
    if against is not None and against not in scores.methods:
        raise HarnessError(f"--against takes a method, not '{against}'{did_you_mean(against, scores.methods)}")
    table = _table(scores)
    ranks = mean_ranks(table, lower_is_better=scores.lower_is_better)
    order = sorted(range(len(ranks)), key=lambda i: (ranks[i], i))
    reach = critical_difference(len(ranks), len(table))
    thresholds = _thresholds(scores)
    return Comparison(
        scores=scores,
        against=against,
        rope=rope,
        overlap=overlap,
        methods=tuple(_method(scores, i, ranks[i], thresholds) for i in order),
        friedman=friedman(table),
        reach=reach,
        cliques=tuple(tuple(scores.methods[i] for i in group) for group in cliques(ranks, reach)),
        pairs=tuple(_pairs(scores, table, order, against, rope, overlap)),
        thresholds=thresholds,
    )


def _nothing_to_compare(scores: Scores) -> str:
    methods, datasets = len(scores.methods), len(scores.datasets)
    found = f"{methods} method{'s' * (methods != 1)} on {datasets} data set{'s' * (datasets != 1)}"
    left = f"; left out: {'; '.join(scores.left_out)}" if scores.left_out else ""
    return f"study '{scores.study}' has {found} by '{scores.by}'; two of each can be compared{left}"


def _table(scores: Scores) -> list[list[float]]:
    """Return the mean over the seeds, by data set, then method."""
    return [[mean(list(scores.runs[m][d].values())) for m in scores.methods] for d in scores.datasets]


def _runs(scores: Scores, method: str) -> list[list[float]]:
    return [list(scores.runs[method][dataset].values()) for dataset in scores.datasets]


def _method(scores: Scores, i: int, rank: float, thresholds: Sequence[float]) -> MethodResult:
    name = scores.methods[i]
    runs = _runs(scores, name)
    return MethodResult(
        name, rank, mean_over_datasets(runs), interquartile_mean(runs), tuple(profile(runs, thresholds))
    )  # fmt: skip


def _thresholds(scores: Scores) -> tuple[float, ...]:
    """Return thresholds from the least to the largest score."""
    every = [value for of in scores.runs.values() for values in of.values() for value in values.values()]
    least, step = min(every), (max(every) - min(every)) / (_THRESHOLDS - 1)
    return tuple(least + i * step for i in range(_THRESHOLDS))


def _pairs(
    scores: Scores,
    table: Sequence[Sequence[float]],
    order: Sequence[int],
    against: str | None,
    rope: float,
    overlap: float,
) -> list[PairResult]:
    """Return the comparisons: with one method, or of all pairs, each with the better mean rank as b."""
    if against is None:
        wanted = [(b, a) for a, b in combinations(order, 2)]
    else:
        base = scores.methods.index(against)
        wanted = [(base, i) for i in order if i != base]
    tests = signed_ranks(table, [(a, b) for a, b in wanted], lower_is_better=scores.lower_is_better)
    return [_pair(scores, table, test, rope, overlap) for test in tests]


def _pair(scores: Scores, table: Sequence[Sequence[float]], test: Pair, rope: float, overlap: float) -> PairResult:
    a, b = scores.methods[test.a], scores.methods[test.b]
    sign = -1 if scores.lower_is_better else 1
    gains = [sign * gap(row[test.b], row[test.a]) for row in table]
    return PairResult(
        a=a,
        b=b,
        verdict=_verdict(test),
        test=test,
        improvement=probability_of_improvement(
            _runs(scores, a), _runs(scores, b), lower_is_better=scores.lower_is_better
        ),
        posterior=signed_rank(gains, rope),
        by_dataset=tuple(_on_dataset(scores, dataset, a, b, rope, overlap) for dataset in scores.datasets),
    )


def _verdict(test: Pair) -> PairVerdict:
    if test.p_holm < ALPHA:
        return "better" if test.balance > 0 else "worse"
    return "undecided" if test.can_tell else "too few data sets to tell"


def _on_dataset(scores: Scores, dataset: str, a: str, b: str, rope: float, overlap: float) -> DatasetPosterior:
    """Return two methods on one data set, paired by seed."""
    theirs, ours = scores.runs[a][dataset], scores.runs[b][dataset]
    sign = -1 if scores.lower_is_better else 1
    gains = [sign * gap(ours[seed], theirs[seed]) for seed in ours]
    posterior = correlated_t(gains, rope, overlap) if len(gains) > 1 else None
    return DatasetPosterior(dataset, sign * mean(gains), posterior)
