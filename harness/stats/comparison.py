"""Two methods over their seeds, or two networks over the images of one test set: never one in place of the other.

Methods: means with Student's and bootstrap intervals, the sign-flip test if runs are paired by seed, the
Mann-Whitney test if they need not be. Networks: McNemar's exact test and a paired bootstrap over images. `stats` has
the tests, docs/statistics.md what each assumes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.attempt.messages import Sample
from harness.attempt.metrics import Better
from harness.base.errors import HarnessError
from harness.stats.tests import (
    Test,
    best_of,
    binomial_error,
    bootstrap,
    deviation,
    gap,
    interval,
    mann_whitney,
    mcnemar,
    mean,
    paired,
    paired_bootstrap,
)

Interval = tuple[float, float] | None


def alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Return whether two configurations train by one protocol on the same data: their runs may be paired by seed."""
    return all(ours.get(part) == theirs.get(part) for part in ("task", "data", "protocol"))


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
    """B against A over seeds. A test is None where it does not apply."""

    a: Spread
    b: Spread
    difference: float  # of the means of the shared seeds where they are paired, else of all
    student_95: Interval
    bootstrap_95: Interval
    shared: tuple[int, ...]  # seeds by which runs are paired; none where protocol or data differ
    sign_flip: Test | None
    mann_whitney: Test
    paired_means: tuple[float, float] | None = None  # A's and B's over the shared seeds, where these are not all

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


def methods(a: Mapping[int, float], b: Mapping[int, float], *, alike: bool, better: Better = "higher") -> Methods:
    """Return two methods side by side; `alike` says whether one protocol trained both on the same data.

    Only then are runs of one seed a pair: they saw the same batches.
    """
    shared = tuple(seed for seed in a if seed in b) if alike else ()
    gaps = [gap(b[seed], a[seed]) for seed in shared]
    apart = gap(mean(list(b.values())), mean(list(a.values())))
    partly = gaps and not (a.keys() == b.keys() == set(shared))
    return Methods(
        a=spread(a, better),
        b=spread(b, better),
        difference=mean(gaps) if gaps else apart,
        student_95=interval(gaps),
        bootstrap_95=bootstrap(gaps),
        shared=shared,
        sign_flip=paired(gaps) if gaps else None,
        mann_whitney=mann_whitney(list(a.values()), list(b.values())),
        paired_means=(mean([a[s] for s in shared]), mean([b[s] for s in shared])) if partly else None,
    )


def networks(a: Sample, b: Sample) -> Networks:
    """Return two networks side by side, from their values by image.

    Raises HarnessError where these are not of the same evaluation and metric.
    """
    if (a.evaluation, a.name, a.count, a.encoding) != (b.evaluation, b.name, b.count, b.encoding):
        raise HarnessError("two networks are compared on the same images and metric alone")
    ours, theirs = unpacked(a), unpacked(b)
    one, other = fmean(ours), fmean(theirs)
    near = paired_bootstrap(theirs, ours)
    if a.encoding != "bits":
        return Networks(a.count, one, other, None, None, other - one, near)
    only_a = sum(x > y for x, y in zip(ours, theirs, strict=True))
    only_b = sum(y > x for x, y in zip(ours, theirs, strict=True))
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


def unpacked(sample: Sample) -> Sequence[float]:
    """Return a value an image: 0 or 1 of bits, numbers of float32."""
    import numpy as np

    if sample.encoding == "bits":
        bits = np.unpackbits(np.frombuffer(sample.packed, dtype=np.uint8))[: sample.count]
        return [float(bit) for bit in bits]
    return [float(value) for value in np.frombuffer(sample.packed, dtype="<f4")]
