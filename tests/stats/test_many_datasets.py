"""Methods over many data sets: the numbers of scikit-posthocs, rliable and baycomp (`golden_of_others.py` has the
command), of Demšar's paper, and of enumeration.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import aggregate, bayesian, ranks

GOLDEN = json.loads((Path(__file__).parent / "golden_of_others.json").read_text())
RLIABLE = GOLDEN["rliable"]


def _by_dataset(runs):
    """Return rliable's runs × tasks as a list per data set."""
    return [list(column) for column in zip(*runs, strict=True)]


@pytest.mark.parametrize("theirs", GOLDEN["friedman"], ids=["posthocs", "demsar"])
def test_friedman_and_nemenyi_are_those_of_scipy_and_scikit_posthocs(theirs):
    ours = ranks.friedman(theirs["table"])
    assert (ours.chi2, ours.p_chi2) == pytest.approx((theirs["chi2"], theirs["p_chi2"]), rel=1e-9)
    mean = ranks.mean_ranks(theirs["table"])
    n, k = len(theirs["table"]), len(mean)
    mine = [[ranks.nemenyi_p(one - other, k, n) for other in mean] for one in mean]
    assert np.allclose(mine, theirs["nemenyi"], atol=1e-9)


def test_demsars_example():
    """JMLR 7, 2006, pages 13 and 14: mean ranks and critical difference; on voting the last two differ by a digit that
    its Table 6 does not print.
    """
    table = [list(row) for row in GOLDEN["friedman"][1]["table"]]
    table[12][2] += 1e-5
    mean = ranks.mean_ranks(table)
    assert [round(rank, 3) for rank in mean] == [3.143, 2.0, 2.893, 1.964]
    reach = ranks.critical_difference(4, 14)
    assert round(reach, 2) == 1.25
    assert ranks.cliques(mean, reach) == [(3, 1, 2, 0)]
    assert ranks.cliques(mean, 1.1) == [(3, 1, 2), (2, 0)]


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_of_demsars_table_5(k, q):
    assert round(ranks.critical_difference(k, 1) / (k * (k + 1) / 6) ** 0.5, 3) == pytest.approx(q, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 4), st.integers(2, 4), st.data())
def test_friedmans_p_is_the_enumeration_of_all_orders(n, k, data):
    row = st.lists(st.integers(0, 3), min_size=k, max_size=k)
    table = data.draw(st.lists(row, min_size=n, max_size=n))
    of_rows = [scipy.stats.rankdata(row) for row in table]
    seen = (np.sum(of_rows, axis=0) ** 2).sum()
    orders = [[np.asarray(order) for order in itertools.permutations(row)] for row in of_rows[1:]]
    sums = np.asarray([of_rows[0] + np.sum(choice, axis=0) for choice in itertools.product(*orders)])
    assert ranks.friedman(table).p == pytest.approx(((sums**2).sum(axis=1) >= seen - 1e-9).mean())


def test_friedman_of_two_is_the_sign_test():
    table = [(0.1, 0.2), (0.3, 0.5), (0.2, 0.4), (0.1, 0.6), (0.5, 0.7), (0.4, 0.3)]
    assert ranks.friedman(table).p == pytest.approx(scipy.stats.binomtest(1, 6).pvalue)


def test_a_drawn_friedman_is_near_the_counted_one():
    """The same table with a sixth method that is always last: it adds nothing that tells the others apart."""
    table = np.random.RandomState(3).random_sample((7, 6))
    drawn = ranks.friedman(table.tolist())
    assert drawn.draws == 9_999
    assert drawn.p == pytest.approx(drawn.p_chi2, abs=0.05)
    assert drawn.smallest_p == 1e-4


def test_too_few_data_sets_for_friedman():
    assert ranks.friedman([(1, 2), (1, 2), (1, 2), (1, 2), (1, 2)]).can_tell is False
    assert ranks.friedman([(1, 2, 3), (1, 2, 3)]).can_tell is False
    assert ranks.friedman([(1, 2, 3)] * 3).p == pytest.approx(1 / 36)


def test_methods_that_tie_everywhere_do_not_differ():
    found = ranks.friedman([(0.5, 0.5, 0.5)] * 4)
    assert (found.p, found.chi2, found.p_chi2) == pytest.approx((1.0, 0.0, 1.0))


def test_a_friedman_test_needs_two_of_each():
    with pytest.raises(ValueError, match="two data sets"):
        ranks.friedman([(1, 2)])


def test_wilcoxon_and_holm_are_those_of_scikit_posthocs():
    theirs = GOLDEN["wilcoxon"]
    pairs = [(0, 1), (0, 2), (1, 2)]
    found = ranks.signed_ranks(list(zip(*theirs["groups"], strict=True)), pairs)
    assert [pair.p for pair in found] == [theirs["p"][a][b] for a, b in pairs]
    assert [pair.p_holm for pair in found] == pytest.approx([theirs["holm"][a][b] for a, b in pairs])
    assert [pair.can_tell for pair in found] == [False] * 3
    assert [(pair.wins, pair.losses) for pair in found] == [(5, 0), (4, 1), (0, 5)]


def test_wilcoxon_with_ties_is_the_enumeration_of_signs():
    table = GOLDEN["friedman"][1]["table"]
    (pair,) = ranks.signed_ranks(table, [(0, 3)])
    gaps = np.asarray([round(row[3] - row[0], 3) for row in table])
    of = scipy.stats.rankdata(np.abs(gaps[gaps != 0]))
    seen = abs((of * np.sign(gaps[gaps != 0])).sum())
    signs = np.asarray(list(itertools.product((1, -1), repeat=len(of))))
    assert pair.p == pytest.approx((abs(signs @ of) >= seen - 1e-9).mean())
    assert (pair.wins, pair.losses, pair.ties) == (11, 2, 1)


def test_lower_may_be_better():
    table = [(0.2, 0.1), (0.4, 0.2), (0.6, 0.3)]
    assert ranks.mean_ranks(table, lower_is_better=True) == [2.0, 1.0]
    (pair,) = ranks.signed_ranks(table, [(0, 1)], lower_is_better=True)
    assert (pair.wins, pair.losses) == (3, 0)
    a, b = zip(*table, strict=True)
    runs = [[[value] for value in side] for side in (a, b)]
    assert aggregate.probability_of_improvement(*runs, lower_is_better=True).value == 1.0


def test_data_sets_that_are_needed():
    """Two-sided 2 / 2ⁿ, times the pairs, below 0.05: six for one pair, eight for three."""
    assert [ranks.datasets_needed(tests) for tests in (1, 3, 6)] == [6, 7, 8]


def test_rliables_own_example():
    x, y = (_by_dataset(RLIABLE["own"][name]) for name in "xy")
    assert [aggregate.interquartile_mean(of).value for of in (x, y)] == RLIABLE["own"]["iqm"] == [1.5, 2.0]
    assert aggregate.probability_of_improvement(y, x).value == pytest.approx(RLIABLE["own"]["improvement"])


def test_intervals_are_those_of_rliable():
    """Both draw at random: they agree within what so many draws leave open."""
    for name, (value, low, high) in RLIABLE["iqm"].items():
        ours = aggregate.interquartile_mean(RLIABLE["runs"][name], draws=20_000)
        assert ours.value == pytest.approx(value, rel=1e-12)
        assert (ours.low_95, ours.high_95) == pytest.approx((low, high), abs=2e-4)
    value, low, high = RLIABLE["improvement"]
    ours = aggregate.probability_of_improvement(RLIABLE["runs"]["a"], RLIABLE["runs"]["b"])
    assert (ours.value, ours.low_95, ours.high_95) == pytest.approx((value, low, high), abs=0.01)


def test_profiles_are_those_of_rliable():
    for name, (values, lows, highs) in RLIABLE["profiles"].items():
        ours = aggregate.profile(RLIABLE["runs"][name], RLIABLE["thresholds"])
        assert [each.value for each in ours] == pytest.approx(values)
        assert [each.low_95 for each in ours] == pytest.approx(lows, abs=0.03)
        assert [each.high_95 for each in ours] == pytest.approx(highs, abs=0.03)


def test_one_run_per_data_set_has_no_interval():
    assert aggregate.interquartile_mean([[1.0], [2.0], [3.0], [10.0]]) == aggregate.Estimate(2.5, None, None)


def test_a_mean_over_data_sets_weighs_each_of_them_alike():
    assert aggregate.mean_over_datasets([[1.0, 3.0], [10.0]]).value == 6.0


@pytest.mark.parametrize("theirs", GOLDEN["baycomp"]["signed_rank"])
def test_signed_ranks_are_those_of_baycomp(theirs):
    gaps = [b - a for a, b in zip(theirs["a"], theirs["b"], strict=True)]
    ours = bayesian.signed_rank(gaps, theirs["rope"])
    shown = (ours.worse, ours.better) if theirs["rope"] == 0 else (ours.worse, ours.same, ours.better)
    assert shown == pytest.approx(theirs["p"], abs=0.008)
    assert ours.worse + ours.same + ours.better == pytest.approx(1)


@pytest.mark.parametrize("theirs", GOLDEN["baycomp"]["correlated_t"])
def test_the_correlated_t_test_is_that_of_baycomp(theirs):
    """Of one run of three-fold cross-validation, each fold tests on a third of the data."""
    gaps = [b - a for a, b in zip(theirs["a"], theirs["b"], strict=True)]
    ours = bayesian.correlated_t(gaps, theirs["rope"], 1 / 3)
    shown = (ours.worse, ours.better) if theirs["rope"] == 0 else (ours.worse, ours.same, ours.better)
    assert shown == pytest.approx(theirs["p"], abs=1e-12)


def test_differences_that_are_all_the_same_leave_no_doubt():
    assert bayesian.correlated_t([2.0, 2.0]) == bayesian.Posterior(0.0, 0.0, 1.0)
    assert bayesian.correlated_t([0.0, 0.0]) == bayesian.Posterior(0.5, 0.0, 0.5)
    assert bayesian.correlated_t([2.0, 2.0], rope=3) == bayesian.Posterior(0.0, 1.0, 0.0)


def test_methods_that_tie_everywhere_are_as_probably_better_as_worse():
    assert bayesian.signed_rank([0.0, 0.0, 0.0]) == bayesian.Posterior(0.5, 0.0, 0.5, bayesian.DRAWS)
    assert bayesian.signed_rank([0.0, 0.0, 0.0], rope=0.1).same == 1


def test_what_a_posterior_needs():
    with pytest.raises(ValueError, match="no data set"):
        bayesian.signed_rank([])
    with pytest.raises(ValueError, match="two runs"):
        bayesian.correlated_t([1.0])
