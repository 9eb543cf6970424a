"""Two methods over their seeds, or two networks over the images of one test set: never one in place of the other.

Methods: means with Student's and bootstrap intervals, the sign-flip test if runs are paired by seed, the
Mann-Whitney test if they need not be. Networks: McNemar's exact test and a paired bootstrap over images. `tests` has
the tests, docs/statistics.md what each assumes. Tables, claims and commands all compare by what is here.

Runs are paired by seed, because two trials at one seed see the same batches and start from the same weights if they
have the same layers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, TypeVar

from harness.attempt.messages import Sample
from harness.attempt.metrics import Better
from harness.attempt.samples import unpacked
from harness.base.errors import HarnessError
from harness.stats.tests import (
    Test,
    best_of,
    binomial_error,
    bootstrap,
    crossed_bootstrap,
    deviation,
    gap,
    holm,
    interval,
    mann_whitney,
    mcnemar,
    mean,
    paired,
    paired_bootstrap,
)

Interval = tuple[float, float] | None
_Name = TypeVar("_Name")


def alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Return whether two configurations train by one protocol on the same data: their runs may be paired by seed."""
    return all(ours.get(part) == theirs.get(part) for part in ("task", "data", "protocol"))


@dataclass(frozen=True)
class Difference:
    """B's values minus A's, paired by seed. nan if a run of a pair is nan."""

    seeds: tuple[int, ...]  # that both have
    mean: float
    sd: float | None  # the sample standard deviation of the differences; None of one
    low_95: float | None  # the two-sided 95 % confidence interval of the mean by Student's t; None of one
    high_95: float | None
    p: float  # two-sided sign-flip test
    smallest_p: float  # that so many seeds could ever give
    p_holm: float  # after Holm's correction
    tests: int  # over which Holm's correction is
    draws: int | None = None  # choices of signs that were drawn at random; None: all were counted
    error: float | None = None  # the Monte-Carlo standard error of p, if they were drawn


@dataclass(frozen=True)
class McNemar:
    """Two single networks, image by image: McNemar's exact test."""

    seed: int
    against_seed: int
    only_this: int  # images that only this row's network has right
    only_against: int  # images that only the other one has right
    p: float  # two-sided


def gaps(a: Mapping[int, float], b: Mapping[int, float]) -> dict[int, float]:
    """Return B's value minus A's at each seed that both have."""
    return {seed: gap(value, a[seed]) for seed, value in b.items() if seed in a}


def difference(a: Mapping[int, float], b: Mapping[int, float], tests: int = 1) -> Difference | None:
    """Return B's values minus A's, by seed, in a family of so many tests; None if they share no seed.

    `p_holm` is that of a single test, until `corrected` has seen the others.
    """
    by_seed = gaps(a, b)
    if not by_seed:
        return None
    each = list(by_seed.values())
    low, high = interval(each) or (None, None)
    test = paired(each, tests)
    return Difference(
        tuple(by_seed), mean(each), deviation(each), low, high, test.p, test.smallest_p, test.p, 1, test.draws,
        test.error,
    )  # fmt: skip


def corrected(differences: Mapping[_Name, Difference]) -> dict[_Name, Difference]:
    """Return the differences with Holm's correction over all of them."""
    adjusted = holm([d.p for d in differences.values()])
    tests = sum(not math.isnan(p) for p in adjusted)
    return {name: replace(d, p_holm=p, tests=tests) for (name, d), p in zip(differences.items(), adjusted, strict=True)}


def paired_means(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float] | None:
    """Return A's and B's means over the seeds that both have; None if these are all, or none."""
    shared = [seed for seed in b if seed in a]
    if not shared or a.keys() == b.keys():
        return None
    return mean([a[seed] for seed in shared]), mean([b[seed] for seed in shared])


@dataclass(frozen=True)
class Spread:
    """One method's runs of one metric."""

    seeds: tuple[int, ...]
    mean: float
    sd: float | None
    student_95: Interval
    bootstrap_95: Interval
    best: float
    best_of_two: float | None  # what the better of two runs is expected to be; None of one run

    @property
    def bias_of_two(self) -> float | None:
        """What choosing the better of two adds to the mean; negative where lower is better."""
        return None if self.best_of_two is None else self.best_of_two - self.mean


@dataclass(frozen=True)
class Methods:
    """B against A over seeds. A test is None if it does not apply."""

    a: Spread
    b: Spread
    difference: float  # of the means of the shared seeds where they are paired, else of all
    student_95: Interval
    bootstrap_95: Interval
    shared: tuple[int, ...]  # seeds by which runs are paired; none where protocol or data differ
    sign_flip: Test | None
    mann_whitney: Test
    paired_means: tuple[float, float] | None = None  # A's and B's over the shared seeds, where these are not all
    crossed_95: Interval = None  # over seeds and images, if all runs kept a value per image

    @property
    def over(self) -> str:
        """On which runs the difference rests, and what the means rest on where that is not the same."""
        if not self.shared:
            return "not paired: other seeds, protocol or data"
        pairs = f"paired by seed, {len(self.shared)} pair{'' if len(self.shared) == 1 else 's'}"
        if self.paired_means is None:
            return pairs
        a, b = self.paired_means
        return (
            f"{pairs} (seeds {', '.join(map(str, self.shared))}; over these alone A {a:.5g}, B {b:.5g}: the means above"
            " are over all seeds)"
        )


@dataclass(frozen=True)
class Networks:
    """B against A over the images of one evaluation. `only_a`, `only_b`: images that just one of them has right."""

    images: int
    a: float
    b: float
    error_a: float | None  # binomial standard errors, of accuracies alone
    error_b: float | None
    difference: float
    bootstrap_95: Interval
    only_a: int | None = None
    only_b: int | None = None
    mcnemar: float | None = None


def spread(values: Mapping[int, float], better: Better = "higher") -> Spread:
    """Return how a method's runs lie. `values` by seed, at least one."""
    numbers = list(values.values())
    sign = 1 if better == "higher" else -1
    known = [sign * v for v in numbers if math.isfinite(v)]  # nan is never the best
    two = sign * best_of(known, 2).expected_best if len(known) == len(numbers) > 1 else None
    best = sign * max(known) if known else math.nan
    return Spread(
        tuple(values), fmean(numbers), deviation(numbers), interval(numbers), bootstrap(numbers), best, two
    )  # fmt: skip


def methods(
    a: Mapping[int, float],
    b: Mapping[int, float],
    *,
    alike: bool,
    better: Better = "higher",
    items: tuple[Sequence[Sample], Sequence[Sample]] = ((), ()),
) -> Methods:
    """Return two methods side by side; `alike` says whether one protocol trained both on the same data.

    Only then are runs of one seed a pair: they saw the same batches. `items` are the values by image of A's runs and
    of B's, empty if a run kept none.
    """
    by_seed = gaps(a, b) if alike else {}
    each = list(by_seed.values())
    return Methods(
        a=spread(a, better),
        b=spread(b, better),
        difference=mean(each) if each else gap(mean(list(b.values())), mean(list(a.values()))),
        student_95=interval(each),
        bootstrap_95=bootstrap(each),
        shared=tuple(by_seed),
        sign_flip=paired(each) if each else None,
        mann_whitney=mann_whitney(list(a.values()), list(b.values())),
        paired_means=paired_means(a, b) if each else None,
        crossed_95=_over_seeds_and_images(*items),
    )


def _over_seeds_and_images(a: Sequence[Sample], b: Sequence[Sample]) -> Interval:
    """Return the interval of B minus A over runs and images; None without values of the same images on both sides."""
    if not a or not b or not all(same_items(a[0], each) for each in (*a, *b)):
        return None
    return crossed_bootstrap([unpacked(each) for each in b], [unpacked(each) for each in a])


def same_items(a: Sample, b: Sample) -> bool:
    """Return whether two networks' values are of one metric on the same images."""
    return (a.evaluation, a.name, a.count, a.encoding) == (b.evaluation, b.name, b.count, b.encoding)


def discordant(a: Sample, b: Sample) -> tuple[int, int]:
    """Return how many images A alone, and B alone, has right. Both are bits of the same images."""
    ours, theirs = int.from_bytes(a.packed), int.from_bytes(b.packed)
    return (ours & ~theirs).bit_count(), (theirs & ~ours).bit_count()


def mcnemar_of(a: Sample, b: Sample, seeds: tuple[int, int]) -> McNemar:
    """Return McNemar's test of B against A, networks of these seeds (B's first). Both are bits of the same images."""
    only_a, only_b = discordant(a, b)
    return McNemar(*seeds, only_b, only_a, mcnemar(only_a, only_b))


def networks(a: Sample, b: Sample) -> Networks:
    """Return two networks side by side, from their values by image.

    Raises HarnessError if these are not of the same evaluation and metric.
    """
    if not same_items(a, b):
        raise HarnessError("two networks are compared on the same images and metric alone")
    ours, theirs = unpacked(a), unpacked(b)
    one, other = fmean(ours), fmean(theirs)
    near = paired_bootstrap(theirs, ours)
    if a.encoding != "bits":
        return Networks(a.count, one, other, None, None, other - one, near)
    only_a, only_b = discordant(a, b)
    return Networks(
        images=a.count,
        a=one,
        b=other,
        error_a=binomial_error(one, a.count),
        error_b=binomial_error(other, a.count),
        difference=other - one,
        bootstrap_95=near,
        only_a=only_a,
        only_b=only_b,
        mcnemar=mcnemar(only_a, only_b),
    )
