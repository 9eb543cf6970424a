"""What is printed beside a row's result: its spread over seeds, and how it compares with another row.

`compare` fills it in, `stats` has the tests. Differences are paired by seed, because two trials at one seed see the
same batches and start from the same weights if they have the same layers.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A row's values minus those of the row that it stands against, paired by seed, in the column's unit.

    nan where a run of a pair is nan.
    """

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


@dataclass(frozen=True)
class ItemGap:
    """Two single networks, item by item, of a metric whose values by item are numbers: this one's minus the other's, in
    the column's unit.
    """

    seed: int
    against_seed: int
    items: int
    mean: float
    low_95: float | None  # the 95 % interval of the mean, by a paired bootstrap over the items
    high_95: float | None


@dataclass(frozen=True)
class Statistics:
    """What stands beside a row's metric: spread over the stated seeds, and the comparison with another row."""

    seeds: tuple[int, ...]  # with a stored value; nan counts
    mean: float
    sd: float | None  # sample standard deviation; None of one run
    against: str | None  # the row that this one is compared with; None for the row that has none
    difference: Difference | None = None
    paired_means: tuple[float, float] | None = None  # over the seeds of the difference, where these are not all seeds
    mcnemar: McNemar | None = None  # of the pair that the table shows
    mcnemar_by_seed: tuple[McNemar, ...] = ()
    items: ItemGap | None = None  # of the pair that the table shows, if its values by item are numbers
    note: str | None = None  # why something is missing
