"""Sign flips at several looks: against a naive enumeration, their level, families of claims, repeated intervals."""

import itertools
import math

import numpy as np
import pytest

from harness.stats.sequential import Followed, Looks, crossed, follow, repeated_interval
from harness.stats.verdicts import Question

BETTER = Question("superiority", 1.0)
LOOKS = Looks((5, 7, 9))


def naively(gaps, looks, most):
    """Return what `crossed` does, for j up to `most`, from every choice of signs as a tuple, and all boundaries."""
    state, found, boundaries = {(): 0}, [], []
    for n in looks.at:
        before = len(next(iter(state)))
        longer = itertools.product((1, -1), repeat=n - before)
        state = {signs + more: j for more in longer for signs, j in state.items()}
        sums = {signs: sum(s * gap for s, gap in zip(signs, gaps, strict=False)) for signs in state}
        equal, crosses, boundary = 1e-9 * max(map(abs, gaps[:n])), dict(state), -math.inf
        boundaries.append([])
        for j in range(1, most + 1):
            left = sorted((sums[signs] for signs, before in state.items() if before < j), reverse=True)
            room = looks.budget(n, j) - (len(state) - len(left))
            boundary = max(boundary, left[room] + equal)
            boundaries[-1].append(boundary)
            crosses |= {signs: max(crosses[signs], j) for signs in state if sums[signs] > boundary}
        state = crosses
        found.append(state[(1,) * n])
    return found, boundaries


@pytest.mark.parametrize("digits", [9, 0], ids=["distinct", "tied"])
def test_it_is_the_naive_enumeration_also_of_tied_gaps(digits):
    draw, looks, seen = np.random.default_rng(3), Looks((5, 7, 9), 0.2), []
    for _ in range(12):
        gaps = [round(float(gap), digits) for gap in draw.normal(0.8, 1.2, 9)]
        found, boundaries = naively(gaps, looks, 50)
        assert [min(j, 50) for j in crossed(gaps, looks)] == found
        assert all(list(row) == sorted(row) for row in boundaries)  # a smaller alpha has no lower boundary
        seen += found
    assert {0, 1} < set(seen)


def test_of_all_signs_no_more_than_alpha_cross_and_nearly_all_of_it_is_spent():
    sizes = np.random.default_rng(5).exponential(1, 10)
    signs = itertools.product((1, -1), repeat=10)
    found = np.array([crossed(list(sizes * of), Looks((6, 8, 10))) for of in signs])
    for j in (1, 2, 3, 4, 10):
        by_look = (found >= j).mean(axis=0)
        allowed = [Looks((6, 8, 10)).spent(n, j) for n in (6, 8, 10)]
        assert all(share <= most for share, most in zip(by_look, allowed, strict=True))
        assert by_look[-1] > allowed[-1] - 1 / 2**10
    assert (np.diff(found, axis=1) >= 0).all()  # what has crossed stays so


def test_a_later_gap_changes_no_earlier_look():
    gaps = [float(gap) for gap in np.random.default_rng(2).normal(0.9, 1, 20)]
    looks = Looks((10, 13, 16, 20))
    found = crossed(gaps, looks)
    assert found[0] < found[-1]
    assert all(crossed(gaps[:n], looks) == found[: i + 1] for i, n in enumerate(looks.at))
    assert crossed([*gaps[:14], math.nan, *gaps[15:]], looks) == [*found[:2], found[1], found[1]]


def test_alpha_is_spent_late_and_all_of_it_in_the_end():
    looks = Looks((9, 12, 16, 20))
    assert [round(looks.spent(n), 4) for n in looks.at] == [0.0035, 0.0114, 0.0284, 0.05]
    assert looks.spent(20, 4) == pytest.approx(0.0125)
    assert [looks.can_decide(9, tests) for tests in (1, 2)] == [True, False]
    assert all(looks.can_decide(n, 1) for n in looks.at)


def test_one_look_is_the_fixed_test():
    assert crossed([1.0, 2.0, 3.0, 4.0, 5.0], Looks((5,))) == [1]  # 1 of 32 is below 0.05, and above 0.025
    assert crossed([1.0, 2.0, 3.0, 4.0, -0.5], Looks((5,))) == [0]


def family(gaps, looks=LOOKS, question=BETTER):
    return {name: Followed(question, of, looks) for name, of in gaps.items()}


def steady(gap, n=20):
    """Return gaps that are nearly the same, so that each bound that they pass is shown early."""
    return [gap + 0.001 * (i % 3) for i in range(n)]


def test_a_claim_is_decided_at_its_first_look_that_shows_it():
    looks = Looks((10, 13, 16, 20))
    made = follow(family({"good": steady(2), "none": steady(-1), "small": steady(0.5)}, looks))
    assert {name: (of.verdict, of.seeds) for name, of in made.items()} == {
        "good": ("supported", 13), "none": ("contradicted", 13), "small": ("too small", 13),
    }  # fmt: skip
    assert made["good"].p <= 0.05
    assert (made["good"].p_against, made["good"].single[1]) == (None, None)
    early = follow(family({"good": steady(2, 9)}, looks))["good"]
    assert (early.verdict, early.seeds, early.why) == ("undecided", 0, "its first look is at 10 seeds")
    assert follow(family({"good": steady(2, 12)}, looks), others=2)["good"].why.endswith("its next look is at 13")


def test_better_needs_the_mean_as_well_and_waits_for_it():
    gaps = [*[1.5, 0.3] * 4, 1.0, *[1.8] * 11]  # above zero at once, `by` reached later
    looks = Looks((9, 12, 16, 20))
    (made,) = follow({"a": Followed(BETTER, gaps, looks)}).values()
    assert (made.verdict, made.seeds) == ("supported", 12)
    (early,) = follow({"a": Followed(BETTER, gaps[:9], looks)}).values()
    assert early.verdict == "undecided"
    assert early.p == 0.05


def test_only_what_is_settled_both_ways_leaves_its_alpha_to_others():
    gaps = [float(gap) for gap in np.random.default_rng(7).normal(0.5, 1, 12)]
    looks = Looks((12,))
    last = crossed(gaps, looks, 2)[-1]
    assert last == 1  # between α/2 and α
    alone = Question("superiority", 0.3)
    none = follow({"a": Followed(alone, gaps, looks), "b": Followed(BETTER, steady(2), looks)})
    freed = follow({"a": Followed(alone, gaps, looks), "b": Followed(BETTER, steady(0.5), looks)})
    assert [of["a"].verdict for of in (none, freed)] == ["undecided", "supported"]
    assert (freed["a"].p, freed["b"].p) == (0.05, 2 * freed["b"].single[0])  # of b it is that of both


def test_equality_needs_both_sides_and_its_opposite_one_of_two():
    equal = Question("equivalence", 1.0)
    looks = Looks((10, 13, 16, 20))
    made = follow(family({"same": steady(0.1), "apart": steady(-2)}, looks, equal))
    assert [of.verdict for of in made.values()] == ["supported", "contradicted"]
    not_worse = follow(family({"a": steady(-0.5), "b": steady(-1.5)}, looks, Question("non_inferiority", 1.0)))
    assert [of.verdict for of in not_worse.values()] == ["supported", "contradicted"]


def test_what_is_told_apart_less_finely_gives_the_same_verdicts():
    draw, looks, seen = np.random.default_rng(9), Looks((8, 9, 10)), set()
    for question in (BETTER, Question("equivalence", 1.0)):
        for _ in range(40):
            gaps = {name: draw.normal(d, 0.6, 10).tolist() for name, d in {"a": 0.3, "b": 1.3, "c": 0.6}.items()}
            fine, coarse = (follow(family(gaps, looks, question), fine=how) for how in (True, False))
            assert [(of.verdict, of.seeds) for of in fine.values()] == [
                (of.verdict, of.seeds) for of in coarse.values()
            ]
            seen |= {of.verdict for of in fine.values()}
    assert seen == {"supported", "too small", "contradicted", "undecided"}


def test_any_wrong_verdict_of_a_family_has_a_chance_of_five_percent():
    """Each claim lies on one of its bounds. Three tests at α each would be wrong in some 14% of studies."""
    draw, wrong, studies = np.random.default_rng(7), 0, 600
    truth = {"none": 0.0, "by": 1.0, "none too": 0.0}
    for _ in range(studies):
        made = follow(family({name: draw.normal(d, 1, 10).tolist() for name, d in truth.items()}, Looks((8, 9, 10))))
        rejected = {name: of.p_against if name == "by" else of.p for name, of in made.items()}
        wrong += any(p is not None and p <= 0.05 for p in rejected.values())
    assert 0.02 < wrong / studies < 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


def test_a_repeated_interval_has_what_no_look_rejects():
    gaps = [float(gap) for gap in np.random.default_rng(8).normal(0.5, 1, 12)]
    looks = Looks((8, 10, 12))
    low, high = repeated_interval(gaps, looks)
    assert low < np.mean(gaps) < high

    def above(value):
        return crossed([gap - value for gap in gaps], looks)[-1] >= 2

    def below(value):
        return crossed([value - gap for gap in gaps], looks)[-1] >= 2

    step = 0.001
    assert (above(low - step), above(low + step)) == (True, False)
    assert (below(high + step), below(high - step)) == (True, False)
    values = np.linspace(-3, 3, 200)
    assert sorted([above(v) for v in values], reverse=True) == [above(v) for v in values]  # one end, no gaps
    assert repeated_interval(gaps[:7], looks) is None
    assert repeated_interval([1.0, 2.0, 3.0], Looks((3,))) is None  # 1 of 8 rejects nothing
    assert repeated_interval([2.0] * 8, looks) == (2, 2)
    assert all(map(math.isnan, repeated_interval([*gaps[:7], math.nan], looks)))
